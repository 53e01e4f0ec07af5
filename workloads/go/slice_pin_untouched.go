// SPDX-License-Identifier: BSD-2-Clause

// A thousand buffers of 64 KB, never written, of which 16 bytes each are kept: the whole array is alive, and
// next to none of it is resident.
package main

var parts [][]byte

//go:noinline
func readMessage(i int) []byte {
	message := make([]byte, 64<<10) // SITE
	return message
}

func main() {
	ready()
	for i := 0; i < 1000; i++ {
		parts = append(parts, readMessage(i)[:16])
	}
	h := heapNow()
	truth("arrays", len(parts), "array_bytes", 64<<10, "live", len(parts)*64<<10, "heap", h.live)
	obey(nil)
	println(len(parts))
}
