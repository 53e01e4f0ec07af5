// SPDX-License-Identifier: BSD-2-Clause

// Collections beside a map full of pointers, one without any, and a floor that rises; and the program's
// own account of them.
package main

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

var (
	names   = map[string]string{}
	numbers = map[int]int{}
	leak    [][]byte
)

func main() {
	debug.SetGCPercent(-1) // collections only where we say so
	ready()
	for i := 0; i < 100000; i++ {
		s := strconv.Itoa(i)
		names[s] = s
		numbers[i] = i
	}
	var longest time.Duration
	for i := 0; i < 20; i++ {
		leak = append(leak, make([]byte, 1<<20))
		start := time.Now()
		runtime.GC()
		if took := time.Since(start); took > longest {
			longest = took
		}
	}
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 3)}
	debug.ReadGCStats(&stats)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	truth("cycles", stats.NumGC, "pause_total", mem.PauseTotalNs, "pauses", len(stats.Pause),
		"pause_min", int64(stats.PauseQuantiles[0]), "pause_median", int64(stats.PauseQuantiles[1]),
		"pause_max", int64(stats.PauseQuantiles[2]), "longest", int64(longest), "live", mem.HeapAlloc)
	obey(nil)
	runtime.KeepAlive(leak)
}
