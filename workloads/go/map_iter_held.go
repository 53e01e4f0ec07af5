// SPDX-License-Identifier: BSD-2-Clause

// A map that nobody has any more but an iterator that was kept: a reflect.MapIter in a global variable. On
// "release" it is dropped, and the map with it.
package main

import (
	"fmt"
	"reflect"
)

var iter *reflect.MapIter

//go:noinline
func fill(n int) map[int]int {
	m := make(map[int]int)
	for i := 0; i < n; i++ {
		m[i] = i // SITE
	}
	return m
}

//go:noinline
func hold(m map[int]int) {
	iter = reflect.ValueOf(m).MapRange()
	iter.Next()
}

//go:noinline
func start() mapHeader {
	m := fill(1000000)
	hold(m)
	return mapFacts(m)
}

func main() {
	ready()
	before := heapNow()
	facts := start()
	held := heapNow().since(before).live
	truth("growths", facts.growths, "length", 1000000, "slots", facts.slots, "held", held)
	obey(func(string) { iter = nil; fmt.Println("ok") })
}
