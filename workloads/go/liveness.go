// SPDX-License-Identifier: BSD-2-Clause

// Keeps 400 maps, and at each "round" drops some, makes others, empties and refills others; then it says
// which: "round CYCLES dropped ADDR.. made ADDR..", all as they are until the next line comes. Two
// goroutines allocate and collect all the time, in the sizes of map headers and their arrays.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strings"
	"unsafe"
)

const slots = 400

type header struct{ a, b, c, d, e, f *int }

var (
	kept    [slots]map[int]int
	garbage [2]interface{}
)

func churn(slot int) {
	for i := 0; ; i++ {
		garbage[slot] = new(header)
		garbage[slot] = make([]byte, 64+i*37%5000)
		if slot == 0 && i%3000 == 0 {
			runtime.GC()
		}
		if i%64 == 0 {
			runtime.Gosched()
		}
	}
}

func address(m map[int]int) uintptr {
	var boxed interface{} = m
	return uintptr(unsafe.Pointer((*mapWords)(unsafe.Pointer(&boxed)).header))
}

//go:noinline
func fill(i int) {
	entries := 20 + rand.Intn(300)
	m := make(map[int]int)
	for n := 0; n < entries; n++ {
		m[n] = n
	}
	kept[i] = m
}

// As many entries as before: the arrays stay, the seed does not.
//
//go:noinline
func refill(i int) {
	entries := len(kept[i])
	for key := range kept[i] {
		delete(kept[i], key)
	}
	for n := 0; n < entries; n++ {
		kept[i][n] = n
	}
}

//go:noinline
func drop(i int) (addr uintptr) {
	addr = address(kept[i])
	kept[i] = nil
	return addr
}

func cycles() uint32 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.NumGC
}

// Writes over what was left on the stack: a goroutine that is preempted somewhere has that frame scanned
// conservatively, and what a call before left there would keep a dropped map.
//
//go:noinline
func wipe() (sum int) {
	var words [4096]int
	for i := range words {
		words[i] = i & len(os.Args)
	}
	for _, word := range words {
		sum += word
	}
	return sum
}

func round(first bool) {
	var dropped, made strings.Builder

	for i := range kept {
		what := rand.Intn(10)
		if kept[i] != nil && what < 2 {
			fmt.Fprintf(&dropped, " %x", drop(i))
		} else if kept[i] == nil && (first || what < 5) {
			fill(i)
			fmt.Fprintf(&made, " %x", address(kept[i]))
		} else if kept[i] != nil && what == 9 {
			refill(i)
		}
	}
	wipe()
	fmt.Fprintf(os.Stdout, "round %d dropped%s made%s\n", cycles(), dropped.String(), made.String())
}

func main() {
	ready()
	go churn(0)
	go churn(1)
	round(true)
	obey(func(string) { round(false) })
}
