// SPDX-License-Identifier: BSD-2-Clause

// A full sync.Map: no finding, but what an entry takes beside that of a plain map.
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
	fill(150000)
	held := heapNow().since(before).live
	plain := make(map[int]int, 150000)
	for i := 0; i < 150000; i++ {
		plain[i] = i
	}
	both := heapNow().since(before).live
	truth("length", 150000, "held", held, "plain", both-held)
	obey(func(string) { println(len(plain)) })
}
