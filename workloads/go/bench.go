// SPDX-License-Identifier: BSD-2-Clause

// The bench programs: bench map|append|small ROUNDS does the work and prints the CPU time it took;
// bench headers MAPS holds so many maps of 64 KiB and more, bench objects NUMBER so many objects of the
// size of a map header and ten maps; both do nothing.
package main

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

var keptMap map[int]int
var keptSlice []int
var keptMaps []map[int]int
var keptObjects []*object

// 48 bytes with pointers, as a map header is.
type object struct {
	next *object
	pad  [5]int
}

//go:noinline
func insert(n int) {
	m := make(map[int]int)
	for i := 0; i < n; i++ {
		m[i] = i
	}
	keptMap = m
}

//go:noinline
func push(n int) {
	var s []int
	for i := 0; i < n; i++ {
		s = append(s, i)
	}
	keptSlice = s
}

//go:noinline
func small(maps, n int) {
	for i := 0; i < maps; i++ {
		insert(n)
	}
}

//go:noinline
func headers(maps int) {
	for i := 0; i < maps; i++ {
		m := make(map[int]int, 3500)
		m[i] = i
		keptMaps = append(keptMaps, m)
	}
}

func cpu() time.Duration {
	var usage syscall.Rusage

	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

//go:noinline
func objects(n int) {
	for i := 0; i < n; i++ {
		keptObjects = append(keptObjects, &object{})
	}
}

func main() {
	what := "map"
	rounds := 1
	if len(os.Args) == 3 {
		what = os.Args[1]
		rounds, _ = strconv.Atoi(os.Args[2])
	}
	switch what {
	case "headers":
		headers(rounds)
		rounds = 0
	case "objects":
		headers(10)
		objects(rounds)
		rounds = 0
	}
	ready()
	startCPU, start := cpu(), time.Now()
	for i := 0; i < rounds; i++ {
		switch what {
		case "map":
			insert(3000000)
		case "append":
			push(10000000)
		case "small":
			small(20000, 200)
		}
	}
	truth("cpu_us", (cpu() - startCPU).Microseconds(), "wall_us", time.Since(start).Microseconds())
	obey(nil)
}
