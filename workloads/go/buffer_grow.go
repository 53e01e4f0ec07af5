// SPDX-License-Identifier: BSD-2-Clause

// Builds large strings in a strings.Builder (by writing, and by Grow) and in a bytes.Buffer: each growth
// leaves the old array behind as garbage.
package main

import (
	"bytes"
	"strings"
)

var (
	written, grown strings.Builder
	buffer         bytes.Buffer
)

const line = "0123456789abcdef"

//go:noinline
func write(n int) (growths int) {
	room := 0
	for i := 0; i < n; i++ {
		written.WriteString(line) // WRITE
		if now := written.Cap(); now != room {
			if room > 0 {
				growths++
			}
			room = now
		}
	}
	return growths
}

//go:noinline
func grow(n int) (growths int) {
	room := 0
	for i := 0; i < n; i++ {
		grown.Grow(len(line)) // GROW
		if now := grown.Cap(); now != room {
			if room > 0 {
				growths++
			}
			room = now
		}
		grown.WriteString(line)
	}
	return growths
}

// A Buffer begins with 64 bytes, which are no growth.
//
//go:noinline
func fill(n int) (growths int) {
	room := 0
	for i := 0; i < n; i++ {
		buffer.WriteString(line) // FILL
		if now := buffer.Cap(); now != room {
			if room > 0 {
				growths++
			}
			room = now
		}
	}
	return growths
}

// What a function did: its growths, what it allocated that is garbage now, what is left.
func measure(act func(int) int, n int) (growths int, garbage, held int64) {
	before := heapNow()
	growths = act(n)
	after := heapNow().since(before)
	return growths, after.allocated - after.live, after.live
}

func main() {
	ready()
	writes, writeGarbage, writeHeld := measure(write, 300000)
	grows, growGarbage, growHeld := measure(grow, 100000)
	fills, fillGarbage, fillHeld := measure(fill, 300000)
	truth("writes", writes, "write_garbage", writeGarbage, "write_held", writeHeld, "write_room", written.Cap(),
		"grows", grows, "grow_garbage", growGarbage, "grow_held", growHeld, "grow_room", grown.Cap(),
		"fills", fills, "fill_garbage", fillGarbage, "fill_held", fillHeld, "fill_room", buffer.Cap(),
		"written", written.Len())
	obey(func(string) { println(written.Len(), grown.Len(), buffer.Len()) })
}
