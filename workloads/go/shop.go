// SPDX-License-Identifier: BSD-2-Clause

// A shop with two problems that real services have. The sessions of a busy night expired down to
// half a percent, but the map that the Cache holds keeps room for all of them. And each request
// appends its events to a slice that starts at nothing. As many services do it serves its profile, so
// that the place of what was there before a tracer came can be found too.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"sync"
)

type session struct {
	user, cart, visits int
	total              float64
}

type Cache struct {
	mutex sync.Mutex
	m     map[int]session
}

type event struct {
	Kind  string
	User  int
	Item  int
	Price float64
	Trace [4]int
}

type order struct {
	Items []int  `json:"items"`
	Note  string `json:"note"`
}

const (
	nightly   = 1000000
	remaining = 5000
)

var sessions *Cache

func NewCache() *Cache { return &Cache{m: make(map[int]session)} }

//go:noinline
func (c *Cache) Put(user int, s session) {
	c.mutex.Lock()
	c.m[user] = s // SITE
	c.mutex.Unlock()
}

//go:noinline
func (c *Cache) Get(user int) session {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.m[user]
}

//go:noinline
func (c *Cache) Expire(keep int) {
	c.mutex.Lock()
	for user := range c.m {
		if user >= keep {
			delete(c.m, user)
		}
	}
	c.mutex.Unlock()
}

//go:noinline
func history(user int, items []int) []event {
	var events []event
	for _, item := range items {
		for step := 0; step < 32; step++ {
			events = append(events, event{Kind: "order", User: user, Item: item}) // BATCH
		}
	}
	return events
}

func serveOrder(w http.ResponseWriter, r *http.Request) {
	var in order

	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Items) == 0 {
		http.Error(w, "bad order", http.StatusBadRequest)
		return
	}
	user := in.Items[0] % remaining
	s := sessions.Get(user)
	for _, item := range in.Items {
		price := float64(item%100) + 0.5
		s.cart++
		s.total += price
	}
	s.visits += len(history(user, in.Items))
	sessions.Put(user, s)
	json.NewEncoder(w).Encode(map[string]float64{"total": s.total})
}

func main() {
	sessions = NewCache()
	for user := 0; user < nightly; user++ {
		sessions.Put(user, session{user: user})
	}
	sessions.Expire(remaining)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/order", serveOrder)
	go http.Serve(listener, nil)
	ready(listener.Addr())
	truth("length", len(sessions.m), "slots", mapFacts(sessions.m).slots)
	obey(func(word string) { fmt.Println("ok") })
}
