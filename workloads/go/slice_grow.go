// SPDX-License-Identifier: BSD-2-Clause

// Appends a million ints to a nil slice: each growth leaves the old array behind as garbage.
package main

import "unsafe"

var kept []int

// A growth is a new array for one that had room. (go1.26 begins with an array on the stack, and its
// first appends make more of that usable: no growth.)
//
//go:noinline
func fill(n int) (growths int) {
	var s []int
	var array uintptr
	for i := 0; i < n; i++ {
		s = append(s, i) // SITE
		if now := uintptr(unsafe.Pointer(&s[0])); now != array {
			if i > 0 {
				growths++
			}
			array = now
		}
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
