// SPDX-License-Identifier: BSD-2-Clause

// A service that renders every answer into a fresh strings.Builder, and every second one into a fresh
// bytes.Buffer, without saying how long it will be.
package main

import (
	"bytes"
	"strings"
)

var sink int

//go:noinline
func render(lines int) (growths int) {
	var b strings.Builder
	room := 0
	for i := 0; i < lines; i++ {
		b.WriteString("some words of the answer\n") // SITE
		if now := b.Cap(); now != room {
			if room > 0 {
				growths++
			}
			room = now
		}
	}
	sink += b.Len()
	return growths
}

//go:noinline
func encode(lines int) (growths int) {
	var b bytes.Buffer
	room := 0
	for i := 0; i < lines; i++ {
		b.WriteString("some words of the answer\n") // ENCODE
		if now := b.Cap(); now != room {
			if room > 0 {
				growths++
			}
			room = now
		}
	}
	sink += b.Len()
	return growths
}

func main() {
	ready()
	renders, encodes := 0, 0
	for i := 0; i < 600; i++ {
		renders += render(4000)
		if i%2 == 0 {
			encodes += encode(4000)
		}
	}
	truth("renders", renders, "encodes", encodes, "bytes", 25*4000)
	obey(nil)
}
