// SPDX-License-Identifier: BSD-2-Clause

// Appends a million ints to a nil slice: each growth leaves the old array behind as garbage.
package main

var kept []int

//go:noinline
func fill(n int) (growths int) {
	var s []int
	for i := 0; i < n; i++ {
		if len(s) == cap(s) && cap(s) > 0 {
			growths++
		}
		s = append(s, i) // SITE
	}
	kept = s
	return growths
}

func main() {
	ready()
	before := heapNow()
	growths := fill(1000000)
	after := heapNow().since(before)
	truth("growths", growths, "length", len(kept), "capacity", cap(kept), "held", after.live,
		"allocated", after.allocated, "garbage", after.allocated-after.live)
	obey(nil)
}
