// SPDX-License-Identifier: BSD-2-Clause

// Keeps the addresses of a thousand range variables and drops the map: they are copies, the map goes.
package main

var kept []*int

//go:noinline
func fill(n int) map[int]int {
	m := make(map[int]int)
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
	return m
}

//go:noinline
func collect(m map[int]int, n int) {
	for _, value := range m {
		value := value
		if len(kept) < n {
			kept = append(kept, &value)
		}
	}
}

func main() {
	ready()
	kept = make([]*int, 0, 1000)
	before := heapNow()
	m := fill(1000000)
	growths := mapFacts(m).growths
	collect(m, 1000)
	m = nil
	truth("growths", growths, "kept", len(kept), "live", heapNow().since(before).live)
	obey(nil)
}
