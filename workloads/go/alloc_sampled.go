// SPDX-License-Identifier: BSD-2-Clause

// Allocates in several places, in random order, and knows how much. Nothing in it reads the allocation
// profile, so the linker leaves that out.
package main

type pair struct {
	left, right *pair
	value       [4]int
}

var (
	keptPair  *pair
	keptBytes []byte
	told      [5]int
)

// Two places of one size class: 48 bytes, with pointers.
//
//go:noinline
func often() {
	keptPair = &pair{} // OFTEN
	told[0] += 48
}

//go:noinline
func seldom() {
	keptPair = &pair{} // SELDOM
	told[1] += 48
}

//go:noinline
func text() {
	keptBytes = make([]byte, 100) // TEXT
	told[2] += 112
}

// 20480 bytes each: two in a span.
//
//go:noinline
func middle() {
	keptBytes = make([]byte, 20000) // MIDDLE
	told[3] += 20480
}

//go:noinline
func large() {
	keptBytes = make([]byte, 100000) // LARGE
	told[4] += 106496
}

func main() {
	random := uint64(88172645463325252)
	ready()
	for i := 0; i < 4000000; i++ {
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		switch n := random % 3000; {
		case n < 1:
			large()
		case n < 6:
			middle()
		case n < 600:
			text()
		case n < 1200:
			seldom()
		default:
			often()
		}
	}
	all := 0
	for _, bytes := range told {
		all += bytes
	}
	truth("all", all, "often", told[0], "seldom", told[1], "text", told[2], "middle", told[3], "large", told[4])
	obey(nil)
}
