// SPDX-License-Identifier: BSD-2-Clause

// What every workload shares. The protocol: print "ready", wait for a line on stdin (the tracer
// attaches meanwhile), act, print one line "TRUTH key=value ...", obey further lines until "end".
// The truth comes from the program itself: runtime.MemStats, and its own map headers.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

var commands = bufio.NewScanner(os.Stdin)

// Says that the program is up, with what the driver has to know (a port), and waits for the start.
func ready(facts ...interface{}) {
	fmt.Println(append([]interface{}{"ready"}, facts...)...)
	commands.Scan()
}

// Prints alternating keys and values.
func truth(pairs ...interface{}) {
	var b strings.Builder
	b.WriteString("TRUTH")
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, " %v=%v", pairs[i], pairs[i+1])
	}
	fmt.Println(b.String())
}

// Obeys lines until "end": "gc" collects and answers "ok", any other word goes to act.
func obey(act func(word string)) {
	for commands.Scan() {
		switch word := commands.Text(); {
		case word == "end":
			return
		case word == "gc":
			runtime.GC()
			fmt.Println("ok")
		case act != nil:
			act(word)
		}
	}
}

// For programs that go on until they are told to stop: says so, and waits for the line.
func runUntilStop() {
	fmt.Println("running")
	commands.Scan()
}

type heap struct {
	live, allocated, mallocs int64
}

// The heap after everything that can be freed has been.
func heapNow() heap {
	var stats runtime.MemStats

	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return heap{int64(stats.HeapAlloc), int64(stats.TotalAlloc), int64(stats.Mallocs)}
}

// What happened since an earlier reading.
func (h heap) since(past heap) heap {
	return heap{h.live - past.live, h.allocated - past.allocated, h.mallocs - past.mallocs}
}

// What a map's own header says, read in process; mapFacts is in truth_classic.go and truth_swiss.go.
type mapHeader struct {
	growths int  // since it was made, where it was made without a size hint
	slots   int  // room for elements, full or not
	tables  int  // Swiss: distinct tables
	old     bool // classic: the array before the last growth is still held
}

// The two words of an interface that holds a map: its type and its header.
type mapWords struct {
	typ    uintptr
	header *mapHead
}
