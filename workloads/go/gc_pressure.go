// SPDX-License-Identifier: BSD-2-Clause

// Grows maps and slices and collects all the time, and prints one line a round that depends on the
// round's number alone. With a number as argument it does that many rounds; else it goes on until
// told to stop. A tracer that comes and goes must not change a byte of this.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
)

var stopped int32

//go:noinline
func deep(n int, values map[int]int) int {
	var pad [64]int
	pad[n%64] = n
	if n == 0 {
		return len(values)
	}
	return deep(n-1, values) + pad[n%64]
}

func round(number int) uint64 {
	m := make(map[int]int)
	var s []int
	for i := 0; i < 3000; i++ {
		m[i*number] = i
		s = append(s, i^number)
	}
	sum := uint64(deep(200+number%50, m))
	for key, value := range m {
		sum += uint64(key) * uint64(value+1)
	}
	for i, value := range s {
		sum = sum*31 + uint64(i*value)
	}
	return sum
}

func main() {
	limit := 0
	if len(os.Args) > 1 {
		limit, _ = strconv.Atoi(os.Args[1])
	}
	out := bufio.NewWriter(os.Stderr)
	defer out.Flush()
	if limit == 0 {
		ready()
		fmt.Println("running")
		go func() {
			commands.Scan()
			atomic.StoreInt32(&stopped, 1)
		}()
	}
	number := 0
	for ; atomic.LoadInt32(&stopped) == 0 && (limit == 0 || number < limit); number++ {
		fmt.Fprintln(out, number, round(number))
		if number%16 == 0 {
			runtime.GC()
		}
	}
	if limit == 0 {
		out.Flush()
		truth("rounds", number)
	}
}
