// SPDX-License-Identifier: BSD-2-Clause

// Emptied maps with values of many kinds: those above 128 bytes live outside the buckets and go,
// the buckets stay. What a map still holds after the delete is its array.
package main

import "strconv"

const entries = 125000

type v8 [8]byte
type v64 [64]byte
type v128 [128]byte
type v136 [136]byte

var (
	kept8      map[int]v8
	kept64     map[int]v64
	kept128    map[int]v128
	kept136    map[int]v136
	keptKilo   map[int]*[1024]byte
	keptString map[int]string
	keptBytes  map[int][]byte
)

//go:noinline
func fill8() {
	kept8 = make(map[int]v8)
	for i := 0; i < entries; i++ {
		kept8[i] = v8{} // V8
	}
	for i := 0; i < entries; i++ {
		delete(kept8, i)
	}
}

//go:noinline
func fill64() {
	kept64 = make(map[int]v64)
	for i := 0; i < entries; i++ {
		kept64[i] = v64{} // V64
	}
	for i := 0; i < entries; i++ {
		delete(kept64, i)
	}
}

//go:noinline
func fill128() {
	kept128 = make(map[int]v128)
	for i := 0; i < entries; i++ {
		kept128[i] = v128{} // V128
	}
	for i := 0; i < entries; i++ {
		delete(kept128, i)
	}
}

//go:noinline
func fill136() {
	kept136 = make(map[int]v136)
	for i := 0; i < entries; i++ {
		kept136[i] = v136{} // V136
	}
	for i := 0; i < entries; i++ {
		delete(kept136, i)
	}
}

//go:noinline
func fillKilo() {
	keptKilo = make(map[int]*[1024]byte)
	for i := 0; i < entries; i++ {
		keptKilo[i] = new([1024]byte) // KILO
	}
	for i := 0; i < entries; i++ {
		delete(keptKilo, i)
	}
}

//go:noinline
func fillString() {
	keptString = make(map[int]string)
	for i := 0; i < entries; i++ {
		keptString[i] = "value " + strconv.Itoa(i) // STRING
	}
	for i := 0; i < entries; i++ {
		delete(keptString, i)
	}
}

//go:noinline
func fillBytes() {
	keptBytes = make(map[int][]byte)
	for i := 0; i < entries; i++ {
		keptBytes[i] = make([]byte, 16) // BYTES
	}
	for i := 0; i < entries; i++ {
		delete(keptBytes, i)
	}
}

func held(fill func()) int64 {
	before := heapNow()
	fill()
	return heapNow().since(before).live
}

func main() {
	ready()
	truth("v8", held(fill8), "v8_growths", mapFacts(kept8).growths,
		"v64", held(fill64), "v64_growths", mapFacts(kept64).growths,
		"v128", held(fill128), "v128_growths", mapFacts(kept128).growths,
		"v136", held(fill136), "v136_growths", mapFacts(kept136).growths,
		"kilo", held(fillKilo), "kilo_growths", mapFacts(keptKilo).growths,
		"string", held(fillString), "string_growths", mapFacts(keptString).growths,
		"bytes", held(fillBytes), "bytes_growths", mapFacts(keptBytes).growths)
	obey(nil)
}
