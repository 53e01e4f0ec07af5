// SPDX-License-Identifier: BSD-2-Clause

// A channel with room for a million, filled once and drained to ten: the ring stays, and is resident.
package main

var kept chan int

//go:noinline
func build(n, left int) {
	kept = make(chan int, n) // SITE
	for i := 0; i < n; i++ {
		kept <- i
	}
	for len(kept) > left {
		<-kept
	}
}

func main() {
	ready()
	before := heapNow()
	build(1000000, 10)
	truth("length", len(kept), "capacity", cap(kept), "held", heapNow().since(before).live)
	obey(nil)
}
