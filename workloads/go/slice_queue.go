// SPDX-License-Identifier: BSD-2-Clause

// A queue of a thousand as append and s = s[1:]: the front is lost, so the array is copied again and again.
package main

var kept []int

//go:noinline
func turn(window, n int) (growths int) {
	for i := 0; i < n; i++ {
		if len(kept) == cap(kept) && cap(kept) > 0 {
			growths++
		}
		kept = append(kept, i) // SITE
		if len(kept) > window {
			kept = kept[1:]
		}
	}
	return growths
}

func main() {
	ready()
	before := heapNow()
	growths := turn(1000, 3000000)
	after := heapNow().since(before)
	truth("growths", growths, "length", len(kept), "allocated", after.allocated,
		"garbage", after.allocated-after.live, "live", after.live)
	obey(nil)
}
