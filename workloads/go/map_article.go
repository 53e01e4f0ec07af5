// SPDX-License-Identifier: BSD-2-Clause

// The "memory black hole" as it was published: it claims that 40 MB stay after the delete. They do
// not, since nothing uses the map after the loop, so the collector takes it.
package main

import (
	"fmt"
	"runtime"
	"time"
)

func main() {
	m := make(map[int]int)
	for i := 0; i < 1000000; i++ {
		m[i] = i
	}

	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	fmt.Printf("after fill: Alloc = %d\n", stats.Alloc)

	for i := 0; i < 1000000; i++ {
		delete(m, i)
	}

	runtime.GC()
	runtime.ReadMemStats(&stats)
	time.Sleep(100 * time.Millisecond)
	fmt.Printf("after delete: Alloc = %d\n", stats.Alloc)
}
