// SPDX-License-Identifier: BSD-2-Clause

// A thousand goroutines blocked in a send, each with a message of 64 KB that it alone holds.
package main

import "runtime"

//go:noinline
func send(ch chan []byte, message []byte) {
	ch <- message // SITE
}

//go:noinline
func start(ch chan []byte, n, bytes int) {
	started := make(chan bool)
	for i := 0; i < n; i++ {
		go func() {
			message := make([]byte, bytes)
			for j := range message {
				message[j] = 1
			}
			started <- true
			send(ch, message)
		}()
	}
	for i := 0; i < n; i++ {
		<-started
	}
	runtime.Gosched()
}

func main() {
	ready()
	before := heapNow()
	start(make(chan []byte), 1000, 64<<10)
	truth("blocked", 1000, "messages", 1000*(64<<10), "live", heapNow().since(before).live)
	obey(nil)
}
