// SPDX-License-Identifier: BSD-2-Clause

// A map of strings made fresh, beside one of numbers: every byte of its buckets has to be looked through by
// the collector, none of the other's.
package main

import "strconv"

var (
	names   map[string]string
	numbers map[int]int
)

//go:noinline
func fill(n int) {
	for i := 0; i < n; i++ {
		names[strconv.Itoa(i)] = strconv.Itoa(-i)
		numbers[i] = i
	}
}

func main() {
	ready()
	before := heapNow()
	names = make(map[string]string, 75000)
	made := heapNow()
	numbers = make(map[int]int, 75000)
	both := heapNow()
	fill(75000)
	full := heapNow()
	truth("length", 75000, "names", made.since(before).live, "numbers", both.since(made).live,
		"strings", full.since(both).live, "mallocs", full.since(both).mallocs)
	obey(nil)
}
