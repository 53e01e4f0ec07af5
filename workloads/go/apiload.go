// SPDX-License-Identifier: BSD-2-Clause

// Load for api and shop: apiload ADDRESS PATH REQUESTS CONNECTIONS. Sends exactly so many requests
// over so many connections and prints what it saw; exits 1 if one of them failed.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

type result struct {
	latencies []time.Duration
	failed    int
}

func post(client *http.Client, url, body string) bool {
	response, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return err == nil && response.StatusCode == http.StatusOK
}

// One connection's share: requests first, first + step, ... below total.
func connection(url string, first, step, total int) result {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	r := result{latencies: make([]time.Duration, 0, total/step+1)}
	for i := first; i < total; i += step {
		body := fmt.Sprintf(`{"items":[%d,%d,%d],"note":"request %d"}`, i, i*7, i*31, i)
		start := time.Now()
		if !post(client, url, body) {
			r.failed++
		}
		r.latencies = append(r.latencies, time.Since(start))
	}
	return r
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		fmt.Fprintln(os.Stderr, "usage: apiload ADDRESS PATH REQUESTS CONNECTIONS")
		os.Exit(2)
	}
	return n
}

func main() {
	if len(os.Args) != 5 {
		number("")
	}
	url := "http://" + os.Args[1] + os.Args[2]
	total, connections := number(os.Args[3]), number(os.Args[4])

	results := make([]result, connections)
	var all sync.WaitGroup
	start := time.Now()
	for i := range results {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			results[i] = connection(url, i, connections, total)
		}(i)
	}
	all.Wait()
	took := time.Since(start)

	latencies := make([]time.Duration, 0, total)
	failed := 0
	for _, r := range results {
		latencies = append(latencies, r.latencies...)
		failed += r.failed
	}
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	at := func(share float64) int64 { return latencies[int(share*float64(len(latencies)-1))].Microseconds() }
	fmt.Printf("LOAD requests=%d failed=%d per_second=%d p50_us=%d p99_us=%d max_us=%d\n", total, failed,
		int(float64(total)/took.Seconds()), at(0.50), at(0.99), at(1))
	if failed > 0 {
		os.Exit(1)
	}
}
