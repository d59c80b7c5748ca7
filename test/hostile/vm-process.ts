// A VM that behaves, in a process of its own: an HTTP/2 server on node:http2 that echoes the body of a POST
// and ends as gRPC does.
// It tells its parent {port}, and answers every message with {rssBytes}.
import { createServer } from "node:http2";
import process from "node:process";

import { portOf } from "./child.ts";

const server = createServer({ settings: { maxConcurrentStreams: 1000 } });
server.on("session", (session) => session.on("error", () => {}));
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  if (headers[":method"] === "POST") {
    stream.pipe(stream);
  } else {
    stream.resume();
    stream.end("hello");
  }
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: portOf(server.address()) }));
process.on("message", () => process.send?.({ rssBytes: process.memoryUsage.rss() }));
process.once("disconnect", () => process.exit());
