// SPDX-License-Identifier: BSD-2-Clause

// A window of 1000 entries slides over a million keys: much work, no leak, next to no growth.
package main

var kept map[int]int

//go:noinline
func slide(window, n int) {
	for i := 0; i < n; i++ {
		kept[i] = i // SITE
		if i >= window {
			delete(kept, i-window)
		}
	}
}

func main() {
	ready()
	before := heapNow()
	kept = make(map[int]int)
	slide(1000, 1000000)
	after := heapNow().since(before)
	facts := mapFacts(kept)
	truth("growths", facts.growths, "length", len(kept), "slots", facts.slots, "held", after.live,
		"allocated", after.allocated)
	obey(nil)
}
