// SPDX-License-Identifier: BSD-2-Clause

// Arrays with pointers of 32 KiB and less that belong to no map: since Go 1.22 each begins with the type of
// its elements. Structs of the same size are no arrays, and what was dropped is none any more.
package main

type line struct {
	name  *int
	value [3]int
}

type page struct {
	next *page
	body [2039]int
}

var (
	lines   [][]line
	indexes [][]*int
	pages   *page
	dropped [][]*string
	found   int
)

//go:noinline
func readLines() []line {
	return make([]line, 510) // 16,320 bytes and 8
}

//go:noinline
func readIndex() []*int {
	return make([]*int, 200) // 1,600 bytes and 8
}

func main() {
	ready()
	for i := 0; i < 1000; i++ {
		lines = append(lines, readLines())
	}
	for i := range lines {
		for at := range lines[i] {
			lines[i][at].name = &found
		}
	}
	for i := 0; i < 5000; i++ {
		indexes = append(indexes, readIndex())
	}
	for i := 0; i < 500; i++ {
		pages = &page{next: pages}
	}
	for i := 0; i < 300; i++ {
		dropped = append(dropped, make([]*string, 1000))
	}
	dropped = nil
	heapNow()
	truth("lines", len(lines), "line_bytes", 16<<10, "line_live", len(lines)*16<<10,
		"indexes", len(indexes), "index_bytes", 1792)
	obey(nil)
	println(len(lines), len(indexes), pages.next != nil)
}
