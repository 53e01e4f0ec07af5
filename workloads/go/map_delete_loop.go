// SPDX-License-Identifier: BSD-2-Clause

// Emptied key by key and refilled, again and again: its buckets are reused.
package main

var kept map[int]int

//go:noinline
func fill(m map[int]int, n int) {
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
}

//go:noinline
func empty(m map[int]int) {
	for i := 0; i < 1000000; i++ {
		delete(m, i)
	}
}

func main() {
	ready()
	before := heapNow()
	kept = make(map[int]int)
	for cycle := 0; cycle < 3; cycle++ {
		fill(kept, 1000000)
		empty(kept)
	}
	emptied := heapNow()
	fill(kept, 1000000)
	after := heapNow()
	facts := mapFacts(kept)
	truth("growths", facts.growths, "length", len(kept), "slots", facts.slots,
		"held", after.since(before).live, "held_empty", emptied.since(before).live,
		"refill", after.since(emptied).allocated)
	obey(nil)
}
