// SPDX-License-Identifier: BSD-2-Clause

// Fills one map with a million ints and no size hint: one container grows, once.
package main

var kept map[int]int

//go:noinline
func fill(n int) map[int]int {
	m := make(map[int]int)
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
	return m
}

func main() {
	ready()
	before := heapNow()
	kept = fill(1000000)
	after := heapNow().since(before)
	facts := mapFacts(kept)
	truth("growths", facts.growths, "length", len(kept), "slots", facts.slots, "held", after.live,
		"allocated", after.allocated, "garbage", after.allocated-after.live)
	obey(nil)
}
