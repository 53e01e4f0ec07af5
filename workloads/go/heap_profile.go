// SPDX-License-Identifier: BSD-2-Clause

// Memory in several places, kept and dropped, small and large, and the program's own account of it:
// runtime.MemProfile, weighed as runtime/pprof weighs it.
package main

import (
	"math"
	"runtime"
	"strings"
)

type node struct {
	next  *node
	value [6]int
}

var (
	kept  []*node
	pages [][]byte
	index map[int]node
)

//go:noinline
func keepSmall(n int) {
	for i := 0; i < n; i++ {
		kept = append(kept, newNode(i)) // LIST
	}
}

// Inlined into its caller: a frame of its own in the profile all the same.
func newNode(i int) *node {
	n := new(node) // NODE
	n.value[0] = i
	return n
}

//go:noinline
func keepLarge(n int) {
	for i := 0; i < n; i++ {
		pages = append(pages, make([]byte, 256<<10)) // PAGES
	}
}

//go:noinline
func fill(n int) {
	index = make(map[int]node)
	for i := 0; i < n; i++ {
		index[i] = node{} // MAP
	}
}

//go:noinline
func drop(n int) {
	for i := 0; i < n; i++ {
		pages = append(pages, make([]byte, 300<<10)) // DROPPED
	}
	pages = pages[:len(pages)-n]
	for i := 0; i < n; i++ {
		pages[:len(pages)+n][len(pages)+i] = nil
	}
}

// As runtime/pprof does it (scaleHeapSample): what was sampled, weighed by how likely that was.
func scaled(count, bytes int64) float64 {
	if count == 0 || bytes == 0 {
		return 0
	}
	size := float64(bytes) / float64(count)
	return float64(bytes) / (1 - math.Exp(-size/float64(runtime.MemProfileRate)))
}

type account struct {
	inUse, allocated float64
}

// One account a stack (there is a record for each stack and size), and everything together.
func accounts(records []runtime.MemProfileRecord) (all account, byStack map[[32]uintptr]*account) {
	byStack = map[[32]uintptr]*account{}
	for _, r := range records {
		a := byStack[r.Stack0]
		if a == nil {
			a = new(account)
			byStack[r.Stack0] = a
		}
		inUse := scaled(r.InUseObjects(), r.InUseBytes())
		allocated := scaled(r.AllocObjects, r.AllocBytes)
		a.inUse += inUse
		a.allocated += allocated
		all.inUse += inUse
		all.allocated += allocated
	}
	return
}

// The innermost function of package main.
func functionOf(stack [32]uintptr) string {
	n := 0
	for n < len(stack) && stack[n] != 0 {
		n++
	}
	frames := runtime.CallersFrames(stack[:n])
	for more := n > 0; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if strings.HasPrefix(frame.Function, "main.") {
			return frame.Function
		}
	}
	return ""
}

func main() {
	records := make([]runtime.MemProfileRecord, 4096)
	// Else its own arrays would share a line with what it holds, and now and then one is sampled.
	pages = make([][]byte, 0, 256)
	ready()
	keepSmall(400000)
	keepLarge(100)
	fill(100000)
	drop(100)
	runtime.GC()
	runtime.GC()
	n, ok := runtime.MemProfile(records, true)
	all, byStack := accounts(records[:n])
	told := []interface{}{"ok", ok, "rate", runtime.MemProfileRate,
		"all", int64(all.inUse), "all_allocated", int64(all.allocated)}
	for name, function := range map[string]string{"node": "main.newNode", "list": "main.keepSmall",
		"pages": "main.keepLarge", "map": "main.fill", "dropped": "main.drop"} {
		var largest account
		for stack, a := range byStack {
			if functionOf(stack) == function && a.allocated > largest.allocated {
				largest = *a
			}
		}
		told = append(told, name, int64(largest.inUse), name+"_allocated", int64(largest.allocated))
	}
	truth(told...)
	obey(nil)
	runtime.KeepAlive(kept)
	runtime.KeepAlive(pages)
	runtime.KeepAlive(index)
}
