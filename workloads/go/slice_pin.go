// SPDX-License-Identifier: BSD-2-Clause

// A thousand buffers of 64 KB, written once, of which 16 bytes each are kept: the whole array stays.
package main

var (
	parts [][]byte
	rows  [][]row
)

type row struct {
	name  *int
	value [3]int
}

//go:noinline
func readMessage(i int) []byte {
	message := make([]byte, 64<<10) // SITE
	for at := range message {
		message[at] = byte(i)
	}
	return message
}

func main() {
	ready()
	for i := 0; i < 1000; i++ {
		parts = append(parts, readMessage(i)[:16])
	}
	// With pointers, and used: the same from outside, but with a type since Go 1.22.
	for i := 0; i < 200; i++ {
		rows = append(rows, make([]row, 2048))
	}
	h := heapNow()
	truth("arrays", len(parts), "array_bytes", 64<<10, "live", len(parts)*64<<10, "heap", h.live)
	obey(nil)
	println(len(parts), len(rows))
}
