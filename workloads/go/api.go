// SPDX-License-Identifier: BSD-2-Clause

// A healthy HTTP/JSON service: a cache of 200,000 entries that was filled once, 256 idle workers that
// wait for jobs, requests that allocate and let go. A tracer has nothing to say about it.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
)

const (
	entries = 200000
	workers = 256
)

type item struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

type order struct {
	Items []int  `json:"items"`
	Note  string `json:"note"`
}

type receipt struct {
	Lines []item  `json:"lines"`
	Total float64 `json:"total"`
}

var (
	cache map[int]item
	jobs  = make(chan int, workers)
)

func load() map[int]item {
	m := make(map[int]item, entries)
	tags := []string{"new", "sale"}
	for i := 0; i < entries; i++ {
		m[i] = item{i, "item " + strconv.Itoa(i), float64(i%100) + 0.5, tags}
	}
	return m
}

func work() {
	for job := range jobs {
		_ = job
	}
}

func serveOrder(w http.ResponseWriter, r *http.Request) {
	var in order

	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out := receipt{Lines: make([]item, 0, len(in.Items))}
	for _, id := range in.Items {
		line := cache[id%entries]
		out.Lines = append(out.Lines, line)
		out.Total += line.Price
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out)
}

func main() {
	cache = load()
	for i := 0; i < workers; i++ {
		go work()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/order", serveOrder)
	go http.Serve(listener, nil)
	ready(listener.Addr())
	truth("entries", len(cache), "workers", workers)
	obey(func(word string) { fmt.Println("ok") })
}
