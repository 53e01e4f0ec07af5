// SPDX-License-Identifier: BSD-2-Clause

// A large object so deep inside a document that no stack reaches from where it grows to the program's own code.
package main

import (
	"encoding/json"
	"strconv"
	"strings"
)

const depth = 100

var document interface{}

func text(keys int) []byte {
	var b strings.Builder
	b.WriteString(strings.Repeat("[", depth) + "{")
	for i := 0; i < keys; i++ {
		b.WriteString(`"` + strconv.Itoa(i) + `":1,`)
	}
	b.WriteString(`"end":1}` + strings.Repeat("]", depth))
	return []byte(b.String())
}

func main() {
	ready()
	err := json.Unmarshal(text(50000), &document)
	truth("length", 50001, "ok", err == nil)
	obey(nil)
}
