"""A gRPC client made of Python's grpcio, for test/interop: peer.py HOST:PORT [CA_FILE]

It has one channel and does what standard input says, a line each, and answers "ok ID" or "failed ID why".
"""

import os
import queue
import sys
import threading

import grpc

CALL_TIMEOUT_S = 60
TRAILING_KEY = "x-grpc-test-echo-trailing-bin"
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 200),
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_retries", 0),
]


def connect(address, ca_file):
    if ca_file is None:
        return grpc.insecure_channel(address, options=OPTIONS)
    with open(ca_file, "rb") as file:
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(file.read()), options=OPTIONS)


CHANNEL = connect(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
UNARY = CHANNEL.unary_unary("/interop.Echo/Unary")
STREAM = CHANNEL.stream_stream("/interop.Echo/Stream")
OUTPUT = threading.Lock()


def compare(sent, received):
    if sent != received:
        wrong = sum(a != b for a, b in zip(sent, received))
        raise ValueError(f"sent {len(sent)} bytes, {len(received)} came back, {wrong} of them wrong")


def call(size, **options):
    sent = os.urandom(size)
    compare(sent, UNARY(sent, timeout=CALL_TIMEOUT_S, **options))


def call_with_gzip(size):
    # Half of it can be made smaller.
    sent = os.urandom(size // 2) + bytes(size // 2)
    compare(sent, UNARY(sent, timeout=CALL_TIMEOUT_S, compression=grpc.Compression.Gzip))


def call_with_metadata(size):
    value = bytes(range(256)) * (size // 256)
    _, done = UNARY.with_call(b"hello", timeout=CALL_TIMEOUT_S, metadata=((TRAILING_KEY, value),))
    trailers = [value for key, value in done.trailing_metadata() if key == TRAILING_KEY]
    if trailers != [value]:
        raise ValueError(f"sent {len(value)} bytes of metadata, trailers brought {[len(one) for one in trailers]}")


def upload(size):
    """Says twenty messages and half-closes before it reads the first answer."""
    sent = [os.urandom(size) for _ in range(20)]
    received = list(STREAM(iter(sent), timeout=CALL_TIMEOUT_S))
    compare(b"".join(sent), b"".join(received))
    if len(received) != len(sent):
        raise ValueError(f"sent {len(sent)} messages, {len(received)} came back")


class OpenStream:
    def __init__(self):
        self.requests = queue.SimpleQueue()
        self.answers = STREAM(iter(self.requests.get, None), timeout=CALL_TIMEOUT_S)

    def say(self, size):
        sent = os.urandom(size)
        self.requests.put(sent)
        compare(sent, next(self.answers))

    def end(self):
        self.requests.put(None)
        if list(self.answers):
            raise ValueError("more came than was asked for")


def answer(name, action):
    try:
        action()
        line = f"ok {name}"
    except Exception as error:  # Whatever it is, the test says it.
        what = f"{error.code()} {error.details()}" if isinstance(error, grpc.RpcError) else repr(error)
        line = f"failed {name} " + what.replace("\n", " ")
    with OUTPUT:
        print(line, flush=True)


CALLS = {"call": call, "gzip": call_with_gzip, "metadata": call_with_metadata, "upload": upload}
STREAMS = {}
BEGUN = {}


def cancel(name):
    BEGUN[name].cancel()
    if BEGUN[name].code() != grpc.StatusCode.CANCELLED:
        raise ValueError(f"the call ended with {BEGUN[name].code()}")


def open_stream(name, size):
    STREAMS[name] = OpenStream()
    STREAMS[name].say(size)


for text in sys.stdin:
    verb, name, size = (text.split() + ["0"])[:3]
    size = int(size)
    if verb in CALLS:
        threading.Thread(target=answer, args=(name, lambda verb=verb, size=size: CALLS[verb](size))).start()
    elif verb == "begin":
        BEGUN[name] = UNARY.future(os.urandom(size), timeout=CALL_TIMEOUT_S)
        answer(name, lambda: None)
    elif verb == "cancel":
        answer(name, lambda: cancel(name))
    elif verb == "open":
        answer(name, lambda: open_stream(name, size))
    elif verb == "say":
        answer(name, lambda: STREAMS[name].say(size))
    elif verb == "end":
        answer(name, lambda: STREAMS[name].end())
    else:
        sys.exit(f"what is {text!r}?")
