// SPDX-License-Identifier: BSD-2-Clause

// Messages of 64 KB through a channel that is kept: what was received and dropped is garbage, the channel
// pins nothing.
package main

type message struct {
	body []byte
}

var queue = make(chan *message, 64)

//go:noinline
func send(n int) {
	for i := 0; i < n; i++ {
		queue <- &message{make([]byte, 65536)} // SITE
	}
}

func main() {
	ready()
	before := heapNow()
	received := 0
	go send(1000)
	for ; received < 1000; received++ {
		<-queue
	}
	truth("received", received, "live", heapNow().since(before).live)
	obey(nil)
	println(len(queue))
}
