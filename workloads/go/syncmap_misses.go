// SPDX-License-Identifier: BSD-2-Clause

// Two sync.Maps, one a global variable and one on the heap, of whose keys most are deleted. Both get a new key,
// so that there is a map without the deleted ones, and miss some lookups, but too few for it to take over.
// A third is left without a new key: nothing is under way there.
package main

import "sync"

type store struct {
	name  string
	names sync.Map
}

var (
	registry sync.Map
	held     *store
	idle     sync.Map
)

//go:noinline
func fill(m *sync.Map, n, kept int) {
	for i := 0; i < n; i++ {
		m.Store(i, i) // SITE
	}
	for i := 0; i < n; i++ {
		m.Load(i)
	}
	for i := kept; i < n; i++ {
		m.Delete(i)
	}
}

//go:noinline
func miss(m *sync.Map, n int) {
	m.Store("new", 1)
	for i := 0; i < n; i++ {
		m.Load("absent")
	}
}

func main() {
	ready()
	held = &store{name: "held"}
	fill(&registry, 200000, 1000)
	fill(&held.names, 100000, 2000)
	fill(&idle, 80000, 500)
	miss(&registry, 100)
	miss(&held.names, 1500)
	truth("length", 1000, "misses", 100, "needed", 1001, "held_length", 2000, "held_misses", 1500, "held_needed", 2001,
		"idle_length", 500)
	obey(nil)
	println(held.name)
}
