package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
)

// soak keeps `workers` calls under way, over `channels` connections, until standard input ends; the calls under way then
// are waited for. It prints each failure and, last, "calls N failures M".
func soak(address, caFile string) error {
	var calls, failures atomic.Int64
	var ends atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ends.Store(true)
	}()
	connections := make([]*grpc.ClientConn, *channels)
	for index := range connections {
		channel, err := dial(address, caFile)
		if err != nil {
			return err
		}
		defer channel.Close()
		connections[index] = channel
	}
	var running sync.WaitGroup
	for worker := range *workers {
		running.Go(func() {
			for !ends.Load() {
				size := bodySize()
				ctx, cancel := within(callTimeout)
				err := echoed(ctx, connections[worker%len(connections)], size)
				cancel()
				calls.Add(1)
				if err != nil {
					failures.Add(1)
					fmt.Printf("failed: a body of %d bytes: %v\n", size, err)
				}
			}
		})
	}
	running.Wait()
	fmt.Printf("calls %d failures %d\n", calls.Load(), failures.Load())
	return nil
}

// bodySize prefers small bodies, as real traffic does, and leaves out no size up to the largest.
func bodySize() int {
	limits := []int{1, 1000, 70_000, 300_000, *maxBody}
	return rand.IntN(1 + min(limits[rand.IntN(len(limits))], *maxBody))
}
