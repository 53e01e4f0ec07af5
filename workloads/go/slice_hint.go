// SPDX-License-Identifier: BSD-2-Clause

// The same million appends to a slice of the right capacity: nothing grows, nothing to report.
package main

var kept []int

//go:noinline
func fill(n int) {
	s := make([]int, 0, n)
	for i := 0; i < n; i++ {
		s = append(s, i) // SITE
	}
	kept = s
}

func main() {
	ready()
	before := heapNow()
	fill(1000000)
	truth("length", len(kept), "capacity", cap(kept), "held", heapNow().since(before).live)
	obey(nil)
}
