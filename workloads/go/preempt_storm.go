// SPDX-License-Identifier: BSD-2-Clause

// Growth under constant collections and preemption: a probe at a function's entry may fire twice for
// one call, so the growth count must come out as the map's own header has it.
package main

import "runtime"

var kept map[int]int
var garbage []byte

//go:noinline
func fill(n int) map[int]int {
	m := make(map[int]int)
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
	return m
}

func press(stop <-chan bool, done chan<- int) {
	for cycles := 0; ; cycles++ {
		select {
		case <-stop:
			done <- cycles
			return
		default:
		}
		garbage = make([]byte, 64<<10)
		runtime.GC()
	}
}

func main() {
	runtime.GOMAXPROCS(2)
	ready()
	stop, done := make(chan bool), make(chan int)
	go press(stop, done)
	growths := 0
	for i := 0; i < 4; i++ {
		kept = fill(1000000)
		growths += mapFacts(kept).growths
	}
	stop <- true
	cycles := <-done
	truth("growths", growths, "containers", 4, "length", len(kept), "gc", cycles)
	obey(nil)
}
