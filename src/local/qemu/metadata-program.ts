import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { Duplex } from "node:stream";

import { createMetadataListener, type InstanceFacts } from "./metadata-service.ts";

/**
 * Serves one connection of one instance over standard input and output: QEMU starts this program for each
 * connection that the guest makes to 169.254.169.254:80. So the service needs no process that must outlive
 * the endpoint, and the guest can reach nothing else through it.
 *
 * Argument: the instance's folder, which holds metadata.json and metadata.key.
 */
const directory = process.argv[2] ?? ".";
const facts = JSON.parse(readFileSync(join(directory, "metadata.json"), "utf8")) as InstanceFacts;
const secret = readFileSync(join(directory, "metadata.key"));
const server = createServer(createMetadataListener(facts, secret, () => new Date()));
const connection = Duplex.from({ readable: process.stdin, writable: process.stdout });
connection.once("close", () => process.exit(0));
// An http.Server takes any duplex stream as a connection (Node.js docs, http.Server 'connection' event).
server.emit("connection", connection);
