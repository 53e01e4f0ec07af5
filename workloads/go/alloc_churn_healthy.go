// SPDX-License-Identifier: BSD-2-Clause

// Sixty allocations of 4 KiB a millisecond, all dropped: many collections, nothing held, no finding.
package main

import "time"

var garbage []byte

func churn(stop <-chan bool, done chan<- int) {
	ticker := time.NewTicker(time.Millisecond)
	for count := 0; ; {
		select {
		case <-stop:
			done <- count
			return
		case <-ticker.C:
		}
		for i := 0; i < 60; i++ {
			garbage = make([]byte, 4096)
			count++
		}
	}
}

func main() {
	ready()
	before := heapNow()
	stop, done := make(chan bool), make(chan int)
	go churn(stop, done)
	runUntilStop()
	stop <- true
	count := <-done
	truth("allocations", count, "live", heapNow().since(before).live)
	obey(nil)
}
