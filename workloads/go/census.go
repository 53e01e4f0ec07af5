// SPDX-License-Identifier: BSD-2-Clause

// 5,000 maps of several types, one to forty entries each, and 150 channels among a million other
// objects, 200,000 of them of the size of a map header. The ring of 50 of the channels is as large as a
// channel's header was up to Go 1.22 and may be the next slot of the same span. With "churn" as argument
// goroutines keep allocating and collecting meanwhile.
package main

import (
	"os"
	"runtime"
	"sync/atomic"
)

type key struct{ a, b uint32 }
type value struct {
	name string
	next *value
}

// 48 bytes with pointers, as a map header is; fields that look like counts, flags and addresses.
type decoy struct {
	count  uint64
	small  uint64
	first  *decoy
	second *[64]byte
	third  uint64
	fourth *int
}

var (
	ints     [1250]map[int]int
	texts    [1250]map[string]string
	structs  [1250]map[key]*value
	booleans [1250]map[int64]bool
	channels [150]chan *value
	decoys   []*decoy
	others   []interface{}
	garbage  [2]*[256]byte
	rounds   int64
)

//go:noinline
func makeMaps() (entries int) {
	for i := range ints {
		ints[i] = make(map[int]int)
		texts[i] = make(map[string]string)
		structs[i] = make(map[key]*value)
		booleans[i] = make(map[int64]bool)
		for n := 0; n <= i%40; n++ {
			ints[i][n] = n
			texts[i][text(n)] = "value"
			structs[i][key{uint32(n), uint32(i)}] = &value{name: "v"}
			booleans[i][int64(n)] = true
			entries += 4
		}
	}
	for i := range channels {
		slots := i + 1
		if slots > 100 {
			slots = 12
		}
		channels[i] = make(chan *value, slots)
	}
	return entries
}

func text(n int) string { return string(rune('a'+n%26)) + string(rune('a'+n/26)) }

//go:noinline
func makeDecoys(n int) {
	target := new([64]byte)
	number := new(int)
	for i := 0; i < n; i++ {
		d := &decoy{count: uint64(i % 9), small: uint64(i % 16), second: target, third: uint64(i % 64), fourth: number}
		if i > 0 {
			d.first = decoys[i-1]
		}
		decoys = append(decoys, d)
	}
}

//go:noinline
func makeOthers(n int) {
	for i := 0; i < n; i++ {
		switch i % 8 {
		case 0:
			others = append(others, new([16]byte))
		case 1:
			others = append(others, new([4]*int))
		case 2:
			others = append(others, new([64]byte))
		case 3:
			others = append(others, &value{name: "other"})
		case 4:
			others = append(others, new([8]*value))
		case 5:
			others = append(others, new([128]byte))
		case 6:
			others = append(others, new([256]byte))
		case 7:
			others = append(others, new([64]*int))
		}
	}
}

func churn(slot int) {
	for {
		for i := 0; i < 2000; i++ {
			garbage[slot] = new([256]byte)
		}
		if slot == 0 {
			runtime.GC()
		}
		atomic.AddInt64(&rounds, 1)
		runtime.Gosched()
	}
}

func main() {
	entries := makeMaps()
	makeDecoys(200000)
	makeOthers(800000)
	heapNow()
	ready()
	if len(os.Args) > 1 && os.Args[1] == "churn" {
		for slot := 0; slot < 2; slot++ {
			go churn(slot)
		}
	}
	truth("maps", len(ints)+len(texts)+len(structs)+len(booleans), "channels", len(channels),
		"entries", entries, "objects", len(decoys)+len(others))
	obey(nil)
	runtime.KeepAlive(&decoys)
	runtime.KeepAlive(&others)
}
