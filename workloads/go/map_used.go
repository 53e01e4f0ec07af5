// SPDX-License-Identifier: BSD-2-Clause

// A map that was large before anybody looked, is nearly empty now, and is used all the time; so is another one.
// Nothing tells where it grew. Who uses it can be seen.
package main

import "time"

var kept, other map[int]int

//go:noinline
func fill(n, left int) {
	for i := 0; i < n; i++ {
		kept[i] = i
	}
	for i := left; i < n; i++ {
		delete(kept, i)
	}
}

//go:noinline
func put(i int) {
	kept[i%1000] = i // PUT
}

//go:noinline
func get(i int) int {
	return kept[i%1000] // GET
}

//go:noinline
func count(i int) {
	other[i%10]++ // OTHER
}

func use() {
	sum := 0
	for i := 0; ; i++ {
		put(i)
		sum += get(i) + get(i+1)
		count(sum)
		if i%100 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func main() {
	kept, other = make(map[int]int), make(map[int]int)
	ready()
	fill(500000, 1000)
	truth("length", len(kept), "slots", mapFacts(kept).slots)
	go use()
	obey(nil)
}
