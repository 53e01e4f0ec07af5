// SPDX-License-Identifier: BSD-2-Clause

//go:build !go1.24

package main

import "unsafe"

// runtime.hmap, go1.19-1.23 (runtime/map.go).
type mapHead struct {
	count      int
	flags      uint8
	b          uint8
	noverflow  uint16
	hash0      uint32
	buckets    unsafe.Pointer
	oldbuckets unsafe.Pointer
}

// Made without a hint, a map starts at B = 0 and every growth that is not same-size adds one.
func mapFacts(m interface{}) mapHeader {
	h := (*mapWords)(unsafe.Pointer(&m)).header
	return mapHeader{growths: int(h.b), slots: 8 << h.b, old: h.oldbuckets != nil}
}
