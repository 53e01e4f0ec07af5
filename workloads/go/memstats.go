// SPDX-License-Identifier: BSD-2-Clause

// A heap of every kind: small and large objects with and without pointers, holes in spans, free spans of
// which half went back to the system, a thousand goroutines with deep stacks. Then it says what
// runtime.MemStats says, and stops itself.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
)

type node struct {
	next *node
	pad  [13]uint64
}

var (
	nodes  []*node
	arrays [][]byte
	gate   = make(chan bool)
	parked = make(chan bool)
)

//go:noinline
func deep(depth int) byte {
	var frame [256]byte

	frame[depth%256] = byte(depth)
	if depth == 0 {
		parked <- true
		<-gate
		return frame[0]
	}
	return deep(depth-1) + frame[depth%256]
}

//go:noinline
func fill() {
	for i := 0; i < 400000; i++ {
		nodes = append(nodes, &node{})
	}
	for i := 0; i < 200; i++ {
		arrays = append(arrays, make([]byte, 200000+i*1000))
	}
	for i := 0; i < 1000; i++ {
		go deep(i % 60)
		<-parked
	}
}

//go:noinline
func thin() {
	for i := range nodes {
		if i%3 == 0 {
			nodes[i] = nil
		}
	}
	for i := 0; i < 100; i++ {
		arrays[i] = nil
	}
	debug.FreeOSMemory()
	for i := 100; i < 140; i++ {
		arrays[i] = nil
	}
	runtime.GC()
	runtime.GC()
}

func main() {
	var stats runtime.MemStats

	debug.SetGCPercent(400)
	fill()
	thin()
	ready()
	// The scavenger goes on giving free spans back: it cannot while this one runs, nor once all is stopped.
	runtime.GOMAXPROCS(1)
	runtime.ReadMemStats(&stats)
	truth("alloc", stats.HeapAlloc, "in_use", stats.HeapInuse, "idle", stats.HeapIdle,
		"released", stats.HeapReleased, "stacks", stats.StackInuse,
		"own", stats.Sys-stats.HeapSys-stats.StackInuse, "sys", stats.Sys,
		"total", stats.TotalAlloc, "cycles", stats.NumGC, "pauses", stats.PauseTotalNs)
	syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	obey(nil)
	runtime.KeepAlive(nodes)
	runtime.KeepAlive(arrays)
}
