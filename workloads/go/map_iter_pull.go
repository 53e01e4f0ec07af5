// SPDX-License-Identifier: BSD-2-Clause

// A map that only a suspended iterator has: iter.Pull2 of maps.All, stopped in the middle. Needs go1.23.
package main

import (
	"iter"
	"maps"
)

var (
	next func() (int, int, bool)
	stop func()
)

//go:noinline
func fill(n int) map[int]int {
	m := make(map[int]int)
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
	return m
}

//go:noinline
func start() mapHeader {
	m := fill(1000000)
	next, stop = iter.Pull2(maps.All(m))
	next()
	return mapFacts(m)
}

func main() {
	ready()
	before := heapNow()
	facts := start()
	held := heapNow().since(before).live
	truth("growths", facts.growths, "length", 1000000, "slots", facts.slots, "held", held)
	obey(nil)
	stop()
}
