// SPDX-License-Identifier: BSD-2-Clause

// Two hundred thousand keys in a sync.Map, all but a thousand deleted. Up to Go 1.23 what was deleted stays until
// a later promotion; since 1.24 it goes at once. On "fill" nothing is deleted.
package main

import "sync"

var registry sync.Map

//go:noinline
func fill(n int) {
	for i := 0; i < n; i++ {
		registry.Store(i, i) // SITE
	}
}

func main() {
	ready()
	before := heapNow()
	fill(200000)
	full := heapNow().since(before).live
	// Every key is looked up, so that all of them are in the map that readers use
	for i := 0; i < 200000; i++ {
		registry.Load(i)
	}
	for i := 1000; i < 200000; i++ {
		registry.Delete(i)
	}
	truth("length", 1000, "full", full, "live", heapNow().since(before).live)
	obey(nil)
}
