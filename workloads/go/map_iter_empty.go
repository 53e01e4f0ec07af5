// SPDX-License-Identifier: BSD-2-Clause

// Ranges again and again over the ten entries that are left of a million: every loop passes all the slots.
package main

import (
	"fmt"
	"time"
)

var (
	m   map[int]int
	sum int
)

//go:noinline
func fill(n int) {
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
}

//go:noinline
func loop(m map[int]int) time.Duration {
	start := time.Now()
	for key := range m {
		sum += key
	}
	return time.Since(start)
}

func main() {
	ready()
	m = make(map[int]int)
	fill(1000000)
	for i := 10; i < 1000000; i++ {
		delete(m, i)
	}
	small := map[int]int{}
	for i := 0; i < 10; i++ {
		small[i] = i
	}
	facts := mapFacts(m)
	truth("growths", facts.growths, "length", len(m), "slots", facts.slots, "loop_ns", loop(m).Nanoseconds(),
		"small_ns", loop(small).Nanoseconds())
	obey(func(string) { fmt.Println("ok", loop(m)) })
}
