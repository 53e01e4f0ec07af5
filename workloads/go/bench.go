// SPDX-License-Identifier: BSD-2-Clause

// The bench programs: bench map|append|small ROUNDS. Does the work and prints the CPU time it took.
package main

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

var keptMap map[int]int
var keptSlice []int

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

func cpu() time.Duration {
	var usage syscall.Rusage

	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func main() {
	what := "map"
	rounds := 1
	if len(os.Args) == 3 {
		what = os.Args[1]
		rounds, _ = strconv.Atoi(os.Args[2])
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
