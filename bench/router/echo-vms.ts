// VMs of several satellites in one process: each answers what it is sent, behind its own port. echo-vms.ts PORT...
// Their windows are the smallest that are usual, as grpc-go's and Node's are.
import http2 from "node:http2";
import process from "node:process";

for (const port of process.argv.slice(2)) {
  const server = http2.createServer();
  server.on("session", (session) => session.on("error", () => {}));
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond(
      { ":status": 200, "content-type": "application/grpc", "vm-port": port },
      { waitForTrailers: true },
    );
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.pipe(stream);
  });
  server.listen(Number(port), "127.0.0.1");
}
process.once("SIGTERM", () => process.exit());
