// SPDX-License-Identifier: BSD-2-Clause

// A cache that held a million entries, lost 99 % of them and stays in use: its buckets stay too.
package main

import "fmt"

type session struct{ user, expires int }

type Cache struct{ m map[int]session }

var cache *Cache

//go:noinline
func (c *Cache) put(key int) {
	c.m[key] = session{key, key} // SITE
}

//go:noinline
func (c *Cache) expire(keep int) {
	for key := range c.m {
		if key >= keep {
			delete(c.m, key)
		}
	}
}

func rebuilt(m map[int]session) int64 {
	before := heapNow()
	survivors := make(map[int]session, len(m))
	for key, value := range m {
		survivors[key] = value
	}
	bytes := heapNow().since(before).live
	survivors[-1] = session{}
	return bytes
}

func main() {
	ready()
	before := heapNow()
	cache = &Cache{m: make(map[int]session)}
	for i := 0; i < 1000000; i++ {
		cache.put(i)
	}
	cache.expire(10000)
	after := heapNow().since(before)
	facts := mapFacts(cache.m)
	truth("growths", facts.growths, "length", len(cache.m), "slots", facts.slots, "held", after.live,
		"retained", after.live-rebuilt(cache.m))
	obey(func(word string) { fmt.Println("ok", cache.m[1].user) })
}
