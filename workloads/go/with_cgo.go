// SPDX-License-Identifier: BSD-2-Clause

// Compiled in for the cgo mode: enough C for the Go tool to link through the system's linker.
package main

// static int answer(void) { return 42; }
import "C"

var cgoAnswer = int(C.answer())
