// SPDX-License-Identifier: BSD-2-Clause

// A map that grows eightfold inside an open range over itself, which goes on until the end.
package main

var (
	m    map[int]int
	last int
)

//go:noinline
func fill(from, to int) {
	for i := from; i < to; i++ {
		m[i] = i // SITE
	}
}

func main() {
	ready()
	before := heapNow()
	m = make(map[int]int)
	fill(0, 65536)
	old := heapNow().since(before).live
	for key := range m {
		if len(m) > 65536 { // it went on: the iterator was in use until now
			last = key
			break
		}
		fill(65536, 8*65536)
		after := heapNow().since(before)
		facts := mapFacts(m)
		truth("growths", facts.growths, "length", len(m), "slots", facts.slots, "live", after.live,
			"old", old)
		obey(nil)
	}
}
