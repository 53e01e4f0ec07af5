// SPDX-License-Identifier: BSD-2-Clause

// The article's program with the one call that makes its claim true: the map is still in use.
package main

import "runtime"

// Made here, the header is on the heap; the only reference to it is a variable of main.
//
//go:noinline
func build() map[int]int { return make(map[int]int) }

//go:noinline
func fill(m map[int]int, n int) {
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
}

func main() {
	ready()
	before := heapNow()
	m := build()
	fill(m, 1000000)
	for i := 0; i < 1000000; i++ {
		delete(m, i)
	}
	after := heapNow().since(before)
	facts := mapFacts(m)
	truth("growths", facts.growths, "length", len(m), "slots", facts.slots, "held", after.live)
	obey(nil)
	runtime.KeepAlive(m)
}
