// SPDX-License-Identifier: BSD-2-Clause

// The same million ints with a size hint: nothing grows, nothing to report.
package main

var kept map[int]int

//go:noinline
func fill(n int) map[int]int {
	m := make(map[int]int, n)
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
	truth("length", len(kept), "slots", mapFacts(kept).slots, "held", after.live)
	obey(nil)
}
