// Holds TCP connections and does nothing else: what a connection costs any Node process, to compare with.
// It tells its parent {port}, and answers every message with {rssBytes}.
import { createServer } from "node:net";
import process from "node:process";

import { portOf } from "./child.ts";

const sockets = new Set<unknown>();
const server = createServer((socket) => {
  sockets.add(socket);
  socket.on("error", () => {});
  socket.on("data", () => socket.write("x"));
  socket.once("close", () => sockets.delete(socket));
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () =>
  process.send?.({ port: portOf(server.address()) }),
);
process.on("message", () => {
  globalThis.gc?.();
  process.send?.({ rssBytes: process.memoryUsage.rss() });
});
process.once("disconnect", () => process.exit());
