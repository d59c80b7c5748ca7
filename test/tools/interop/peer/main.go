// A gRPC peer made of grpc-go, for test/interop:
//
//	interop-peer serve HOST:PORT           a VM: gRPC's own interop service, and an echo of bytes
//	interop-peer talk HOST:PORT [CA_FILE]  a client with one channel that does what standard input says
//	interop-peer soak HOST:PORT [CA_FILE]  workers that compare echoes of random bodies until standard input ends
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/orca"
)

const (
	unaryMethod  = "/interop.Echo/Unary"
	streamMethod = "/interop.Echo/Stream"
	// A message of 20 MB and more must pass.
	maxMessageBytes = 64 << 20
	// Metadata whose value comes back in the trailers.
	trailingKey = "x-grpc-test-echo-trailing-bin"
)

var (
	workers  = flag.Int("workers", 50, "soak: calls at a time")
	channels = flag.Int("channels", 4, "soak: connections")
	maxBody  = flag.Int("max-body", 1_000_000, "soak: largest body, in bytes")
)

// bytesCodec passes *[]byte as it is and leaves every other message to Protocol Buffers.
type bytesCodec struct{ encoding.CodecV2 }

func (codec bytesCodec) Marshal(message any) (mem.BufferSlice, error) {
	if body, ok := message.(*[]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(*body)}, nil
	}
	return codec.CodecV2.Marshal(message)
}

func (codec bytesCodec) Unmarshal(data mem.BufferSlice, message any) error {
	if body, ok := message.(*[]byte); ok {
		*body = data.Materialize()
		return nil
	}
	return codec.CodecV2.Unmarshal(data, message)
}

func codec() bytesCodec { return bytesCodec{encoding.GetCodecV2(proto.Name)} }

func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(codec()),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxConcurrentStreams(1000),
		orca.CallMetricsServerOption(nil),
		grpc.UnknownServiceHandler(echo),
	)
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	fmt.Printf("listening %s\n", listener.Addr())
	return server.Serve(listener)
}

// echo answers each message of either method of interop.Echo with itself, until the client has said all.
func echo(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	if method != unaryMethod && method != streamMethod {
		return unknown(method)
	}
	given, _ := metadata.FromIncomingContext(stream.Context())
	stream.SetTrailer(metadata.MD{trailingKey: given.Get(trailingKey)})
	for {
		var body []byte
		if err := stream.RecvMsg(&body); err != nil {
			return endOf(err)
		}
		if err := stream.SendMsg(&body); err != nil {
			return err
		}
	}
}

func dial(address, caFile string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if caFile != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(caFile, ""); err != nil {
			return nil, err
		}
	}
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec()), grpc.MaxCallRecvMsgSize(maxMessageBytes)))
}

func main() {
	flag.Parse()
	var err error
	switch flag.Arg(0) {
	case "serve":
		err = serve(flag.Arg(1))
	case "talk":
		err = talk(flag.Arg(1), flag.Arg(2), bufio.NewScanner(os.Stdin))
	case "soak":
		err = soak(flag.Arg(1), flag.Arg(2))
	default:
		err = errors.New("say serve, talk or soak")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func within(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), timeout)
}
