// SPDX-License-Identifier: BSD-2-Clause

// Sixteen megabytes that Go's heap knows nothing of: mapped by the program itself and written to.
package main

import (
	"os"
	"runtime"
	"syscall"
)

var region []byte

//go:noinline
func reserve(n int) []byte {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE) // SITE
	if err != nil {
		os.Exit(1)
	}
	return b
}

func main() {
	ready()
	before := heapNow()
	region = reserve(16 << 20)
	for i := 0; i < len(region); i += 4096 {
		region[i] = 1 // TOUCH
	}
	truth("mapped", len(region), "live", heapNow().since(before).live)
	obey(nil)
	runtime.KeepAlive(region)
}
