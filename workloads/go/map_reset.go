// SPDX-License-Identifier: BSD-2-Clause

// Twenty times a new map, refilled to the same size: all its growth is paid for again each time.
package main

const cycles = 20

var kept map[int]int

//go:noinline
func refill(n int) {
	kept = make(map[int]int)
	for i := 0; i < n; i++ {
		kept[i] = i // SITE
	}
}

func main() {
	ready()
	before := heapNow()
	growths := 0
	for i := 0; i < cycles; i++ {
		refill(250000)
		growths += mapFacts(kept).growths
	}
	after := heapNow().since(before)
	truth("growths", growths, "containers", cycles, "length", len(kept), "held", after.live,
		"allocated", after.allocated, "per_cycle", after.allocated/cycles)
	obey(nil)
}
