// SPDX-License-Identifier: BSD-2-Clause

// A program whose memory lies: map headers with absurd counts, sizes and addresses, and a Swiss
// directory that goes round in a circle. Its collector is off, or it would fall over them itself.
package main

import (
	"os"
	"runtime/debug"
	"unsafe"
)

var lies [64]map[int]int
var honest map[int]int
var rings [16]chan int

type words [6]uint64

func corrupt(m interface{}, change func(w *words)) {
	change((*words)(unsafe.Pointer((*mapWords)(unsafe.Pointer(&m)).header)))
}

func main() {
	debug.SetGCPercent(-1)
	for i := range lies {
		lies[i] = make(map[int]int)
		for n := 0; n < 5000; n++ {
			lies[i][n] = n
		}
	}
	honest = make(map[int]int)
	for n := 0; n < 500000; n++ {
		honest[n] = n
	}
	for i := range rings {
		rings[i] = make(chan int, 20000)
	}
	ready()
	for i := range lies {
		corrupt(lies[i], func(w *words) {
			switch i % 8 {
			case 0: // absurd count
				w[0] = 1 << 62
			case 1: // B, or the low bytes of the seed
				w[1] = 0xffffffffffffffff
			case 2: // array or directory: an address nobody has
				w[2] = 0xffff800000000000
			case 3: // points to itself
				w[2] = uint64(uintptr(unsafe.Pointer(w)))
			case 4: // old array, or a directory of 2^60
				w[3] = 1 << 60
			case 5: // evacuation, or depth: 255
				w[4] = 0xffffffffffffffff
			case 6: // an array that does not begin where it says
				w[2] += 8
			case 7: // in the executable's own memory
				w[2] = uint64(uintptr(unsafe.Pointer(&honest)))
			}
		})
	}
	for i := range rings {
		ring := (*words)(unsafe.Pointer(*(*uintptr)(unsafe.Pointer(&rings[i]))))
		switch i % 4 {
		case 0:
			ring[0] = 1 << 61
		case 1:
			ring[1] = 1 << 61
		case 2:
			ring[2] = 8
		case 3:
			ring[3] = 0xffffffffffffffff
		}
	}
	truth("honest", len(honest), "slots", mapFacts(honest).slots)
	commands.Scan()
	os.Exit(0)
}
