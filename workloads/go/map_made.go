// SPDX-License-Identifier: BSD-2-Clause

// Made after attach with their size, so that nothing ever grows: a map of large arrays, one of small arrays, and
// buffers. The program keeps no allocation profile. Where they were made the samples of the allocator tell.
package main

import "runtime/debug"

var (
	names   map[string]string
	numbers map[int]int
	buffers [][]byte
)

// Sampling begins when it has been paid for, and that is by the time that the program runs.
//
//go:noinline
func compute(n uint64) (sum uint64) {
	for i := uint64(0); i < n; i++ {
		sum = sum*31 + i
	}
	return sum
}

//go:noinline
func makeNames(n int) map[string]string {
	m := make(map[string]string, n) // NAMES
	for i := 0; i < n; i++ {
		m[string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))] = "value"
	}
	return m
}

//go:noinline
func makeNumbers(n int) map[int]int {
	m := make(map[int]int, n) // NUMBERS
	for i := 0; i < n; i++ {
		m[i] = i
	}
	return m
}

//go:noinline
func makeBuffer() []byte {
	return make([]byte, 100<<10) // BUFFER
}

func main() {
	// Cycles come one by one, when they are asked for: of what two in a row have passed nothing is certain
	debug.SetGCPercent(-1)
	ready()
	compute(1 << 28)
	names = makeNames(300000)
	numbers = makeNumbers(300000)
	for i := 0; i < 200; i++ {
		buffers = append(buffers, makeBuffer())
	}
	truth("names", len(names), "numbers", len(numbers), "buffers", len(buffers))
	obey(nil)
	println(len(buffers))
}
