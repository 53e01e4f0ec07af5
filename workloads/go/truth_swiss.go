// SPDX-License-Identifier: BSD-2-Clause

//go:build go1.24

package main

import (
	"math/bits"
	"unsafe"
)

// internal/runtime/maps.Map and table, go1.24-1.26.
type mapHead struct {
	used   uint64
	seed   uintptr
	dirPtr unsafe.Pointer
	dirLen int
}

type mapTable struct {
	used       uint16
	capacity   uint16
	growthLeft uint16
	localDepth uint8
	index      int
}

// Made without a hint, a map starts as one group of 8; the first growth makes a table of 16, which
// doubles up to 1024; after that each growth splits one table into two. Neighbours in the directory
// may be the same table.
func mapFacts(m interface{}) mapHeader {
	h := (*mapWords)(unsafe.Pointer(&m)).header
	if h.dirPtr == nil {
		return mapHeader{}
	}
	if h.dirLen == 0 {
		return mapHeader{slots: 8}
	}

	var facts mapHeader
	var last *mapTable
	for _, t := range unsafe.Slice((**mapTable)(h.dirPtr), h.dirLen) {
		if t != last {
			facts.tables++
			facts.slots += int(t.capacity)
		}
		last = t
	}
	facts.growths = 1 + bits.Len16(last.capacity/16) - 1 + facts.tables - 1
	return facts
}
