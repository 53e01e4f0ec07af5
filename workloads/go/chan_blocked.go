// SPDX-License-Identifier: BSD-2-Clause

// Ten thousand goroutines that send to a channel that nobody receives from.
package main

import "runtime"

//go:noinline
func send(ch chan int, i int) {
	ch <- i // SITE
}

// Starts n senders and waits until all of them are blocked or just about to be.
//go:noinline
func start(ch chan int, n int) {
	started := make(chan bool)
	for i := 0; i < n; i++ {
		go func(i int) {
			started <- true
			send(ch, i)
		}(i)
	}
	for i := 0; i < n; i++ {
		<-started
	}
	runtime.Gosched()
}

func main() {
	ready()
	start(make(chan int), 10000)
	truth("blocked", 10000, "goroutines", runtime.NumGoroutine())
	obey(nil)
}
