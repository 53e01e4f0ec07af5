// SPDX-License-Identifier: BSD-2-Clause

// A million writes of string literals into a small map: they are in the binary, nothing is allocated.
package main

var kept map[string]string

//go:noinline
func write(n int) {
	for i := 0; i < n; i++ {
		kept["hello"] = "world"
		kept["good"] = "bye"
	}
}

func main() {
	ready()
	kept = make(map[string]string)
	write(1)
	before := heapNow()
	write(1000000)
	truth("allocated", heapNow().since(before).allocated, "length", len(kept))
	obey(nil)
}
