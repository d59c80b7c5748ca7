package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Nothing that a test asks for takes longer, on a busy machine neither.
const callTimeout = 60 * time.Second

func unknown(method string) error {
	return status.Errorf(codes.Unimplemented, "unknown method %s", method)
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func randomBody(size int) []byte {
	body := make([]byte, size)
	_, _ = rand.Read(body)
	return body
}

func compare(sent, received []byte) error {
	if bytes.Equal(sent, received) {
		return nil
	}
	wrong := 0
	for index := range min(len(sent), len(received)) {
		if sent[index] != received[index] {
			wrong++
		}
	}
	return fmt.Errorf("sent %d bytes, %d came back, %d of them wrong", len(sent), len(received), wrong)
}

// echoed makes a call and compares what comes back.
func echoed(ctx context.Context, channel *grpc.ClientConn, size int, options ...grpc.CallOption) error {
	sent := randomBody(size)
	var received []byte
	if err := channel.Invoke(ctx, unaryMethod, &sent, &received, options...); err != nil {
		return err
	}
	return compare(sent, received)
}

type openStream struct {
	grpc.ClientStream
	cancel context.CancelFunc
}

func (stream openStream) say(size int) error {
	sent := randomBody(size)
	if err := stream.SendMsg(&sent); err != nil {
		return err
	}
	var received []byte
	if err := stream.RecvMsg(&received); err != nil {
		return err
	}
	return compare(sent, received)
}

func (stream openStream) end() error {
	defer stream.cancel()
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var none []byte
	return endOf(stream.RecvMsg(&none))
}

// talk reads "call ID SIZE", "open ID", "say ID SIZE" and "end ID", a line each, and answers "ok ID" or "failed ID why".
// Calls run beside each other; what is said on a stream is said in order.
func talk(address, caFile string, input *bufio.Scanner) error {
	channel, err := dial(address, caFile)
	if err != nil {
		return err
	}
	defer channel.Close()
	var running sync.WaitGroup
	var output sync.Mutex
	answer := func(id string, err error) {
		output.Lock()
		defer output.Unlock()
		if err == nil {
			fmt.Printf("ok %s\n", id)
		} else {
			fmt.Printf("failed %s %s\n", id, strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
	streams := map[string]openStream{}
	for input.Scan() {
		words := append(strings.Fields(input.Text()), "", "", "")
		id := words[1]
		size, _ := strconv.Atoi(words[2])
		switch words[0] {
		case "call":
			running.Go(func() {
				ctx, cancel := within(callTimeout)
				defer cancel()
				answer(id, echoed(ctx, channel, size))
			})
		case "open":
			ctx, cancel := within(callTimeout)
			description := grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
			stream, err := channel.NewStream(ctx, &description, streamMethod)
			if err == nil {
				streams[id] = openStream{stream, cancel}
				err = streams[id].say(size)
			}
			answer(id, err)
		case "say":
			answer(id, streams[id].say(size))
		case "end":
			answer(id, streams[id].end())
		default:
			return fmt.Errorf("what is %q?", input.Text())
		}
	}
	running.Wait()
	return input.Err()
}
