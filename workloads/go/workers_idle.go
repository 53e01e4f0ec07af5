// SPDX-License-Identifier: BSD-2-Clause

// A pool of 256 workers that wait for jobs, after having done some: nothing is wrong with it.
package main

import "sync"

var done sync.WaitGroup

//go:noinline
func work(jobs chan int) {
	for range jobs { // SITE
		done.Done()
	}
}

func main() {
	jobs := make(chan int)
	for i := 0; i < 256; i++ {
		go work(jobs)
	}
	ready()
	done.Add(1000)
	for i := 0; i < 1000; i++ {
		jobs <- i
	}
	done.Wait()
	truth("workers", 256)
	obey(nil)
}
