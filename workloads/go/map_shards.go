// SPDX-License-Identifier: BSD-2-Clause

// The shards of a cache, all emptied: none of them holds much, all of them together do.
package main

const count = 64

var shards [count]map[int]int

//go:noinline
func fill(shard, n int) {
	m := map[int]int{}
	shards[shard] = m
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
}

func main() {
	ready()
	before := heapNow()
	for shard := range shards {
		fill(shard, 20000)
		for i := 10; i < 20000; i++ {
			delete(shards[shard], i)
		}
	}
	truth("shards", count, "held", heapNow().since(before).live)
	obey(nil)
}
