// SPDX-License-Identifier: BSD-2-Clause

// Stops writing just after a growth began: a classic map then holds the old array and the new one,
// and only writes finish the move. Swiss maps move a table at once.
package main

import "fmt"

var kept map[int]int

//go:noinline
func fill(m map[int]int, from, to int) {
	for i := from; i < to; i++ {
		m[i] = i // SITE
	}
}

func main() {
	ready()
	before := heapNow()
	kept = make(map[int]int)
	fill(kept, 0, 860000)
	after := heapNow().since(before)
	facts := mapFacts(kept)
	truth("growths", facts.growths, "length", len(kept), "slots", facts.slots, "held", after.live,
		"unfinished", facts.old)
	obey(func(word string) {
		sum := 0
		for i := 0; i < len(kept); i++ {
			sum += kept[i]
		}
		fmt.Println("ok", sum)
	})
}
