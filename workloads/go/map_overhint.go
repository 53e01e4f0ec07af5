// SPDX-License-Identifier: BSD-2-Clause

// The advice "make(map, n/0.75)", followed at two sizes: up to twice the memory that n needs.
package main

type small int
type large int

var keptSmall map[int]small
var keptLarge map[int]large

// Fits 2^14 buckets at 6 entries each: so many fill a bucket in Go 1.21, 6.5 in all others.
const smallLength = 98000

//go:noinline
func fillSmall(n int) map[int]small {
	m := make(map[int]small, n*4/3) // SMALL
	for i := 0; i < n; i++ {
		m[i] = small(i)
	}
	return m
}

//go:noinline
func fillLarge(n int) map[int]large {
	m := make(map[int]large, n*4/3) // LARGE
	for i := 0; i < n; i++ {
		m[i] = large(i)
	}
	return m
}

// What the runtime allocates for the right hint.
//
//go:noinline
func need(n int) int64 {
	before := heapNow()
	m := make(map[int]int, n)
	bytes := heapNow().since(before).live
	m[0] = 1
	return bytes
}

func main() {
	ready()
	needSmall, needLarge := need(smallLength), need(640000)
	before := heapNow()
	keptSmall = fillSmall(smallLength)
	middle := heapNow()
	keptLarge = fillLarge(640000)
	after := heapNow()
	heldSmall, heldLarge := middle.since(before).live, after.since(middle).live
	truth("small_held", heldSmall, "small_waste", heldSmall-needSmall, "small_slots", mapFacts(keptSmall).slots,
		"large_held", heldLarge, "large_waste", heldLarge-needLarge, "large_slots", mapFacts(keptLarge).slots)
	obey(nil)
}
