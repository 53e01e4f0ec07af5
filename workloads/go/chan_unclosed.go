// SPDX-License-Identifier: BSD-2-Clause

// A hundred channels of 80 KB, dropped and never closed: the collector takes them all.
package main

var last chan int

//go:noinline
func drop(n int) {
	for i := 0; i < n; i++ {
		last = make(chan int, 10000) // SITE
		last <- i
	}
	last = nil
}

func main() {
	ready()
	before := heapNow()
	drop(100)
	truth("channels", 100, "live", heapNow().since(before).live)
	obey(nil)
}
