// SPDX-License-Identifier: BSD-2-Clause

// 2,500 requests, each with a map of 200: without a hint five growths each, with one none.
package main

const requests = 2500

//go:noinline
func handle(n int) mapHeader {
	m := make(map[int]int)
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
	return mapFacts(m)
}

//go:noinline
func handleHinted(n int) int {
	m := make(map[int]int, n)
	for i := 0; i < n; i++ {
		m[i] = i // HINTED
	}
	return len(m)
}

func main() {
	ready()
	start := heapNow()
	growths := 0
	for i := 0; i < requests; i++ {
		growths += handle(200).growths
	}
	plain := heapNow()
	for i := 0; i < requests; i++ {
		handleHinted(200)
	}
	hinted := heapNow()
	bytes := plain.since(start).allocated
	truth("growths", growths, "containers", requests, "allocated", bytes,
		"saves", bytes-hinted.since(plain).allocated)
	obey(nil)
}
