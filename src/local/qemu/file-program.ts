import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { basename } from "node:path";
import { Duplex } from "node:stream";

/**
 * Serves one file, by its name, to one connection over standard input and output, as metadata-program.ts does with
 * metadata: a guest without a network fetches from here what it would fetch from a mirror.
 *
 * Argument: the file.
 */
const file = process.argv[2] ?? "";
const server = createServer((request, response) => {
  if (request.method !== "GET" || request.url !== `/${basename(file)}`) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-length": statSync(file).size });
  createReadStream(file).pipe(response);
});
const connection = Duplex.from({ readable: process.stdin, writable: process.stdout });
connection.once("close", () => process.exit(0));
server.emit("connection", connection);
