// SPDX-License-Identifier: BSD-2-Clause

// Sixty new keys a millisecond that nobody deletes, beside garbage that keeps the collector busy.
package main

import "time"

var kept map[int]int
var garbage []byte

//go:noinline
func leak(key int) {
	kept[key] = key // SITE
}

func grow(stop <-chan bool, done chan<- bool) {
	ticker := time.NewTicker(time.Millisecond)
	for key := 0; ; {
		select {
		case <-stop:
			done <- true
			return
		case <-ticker.C:
		}
		for i := 0; i < 60; i++ {
			leak(key)
			key++
			garbage = make([]byte, 4096)
		}
	}
}

func main() {
	ready()
	kept = make(map[int]int)
	stop, done := make(chan bool), make(chan bool)
	go grow(stop, done)
	runUntilStop()
	stop <- true
	<-done
	facts := mapFacts(kept)
	truth("growths", facts.growths, "length", len(kept), "slots", facts.slots)
	obey(nil)
}
