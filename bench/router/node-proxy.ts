// What a proxy on node:http2 costs that does nothing but pass on: node-proxy.ts UPSTREAM_PORT PORT [KEY CERT]
import { readFileSync } from "node:fs";
import http2, { type ClientHttp2Session, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import process from "node:process";

const [upstreamPort = "", port = "", keyFile, certFile] = process.argv.slice(2);
const WINDOW_BYTES = 1024 * 1024;
const settings = { initialWindowSize: WINDOW_BYTES };
const upstreams = new WeakMap<ServerHttp2Session, ClientHttp2Session>();

function upstreamOf(session: ServerHttp2Session): ClientHttp2Session {
  let upstream = upstreams.get(session);
  if (upstream === undefined) {
    upstream = http2.connect(`http://127.0.0.1:${upstreamPort}`, { settings });
    upstream.on("connect", () => upstream?.setLocalWindowSize(16 * WINDOW_BYTES));
    upstream.on("error", () => session.destroy());
    session.once("close", () => upstream?.destroy());
    upstreams.set(session, upstream);
  }
  return upstream;
}

function serve(stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
  const { session } = stream;
  if (session === undefined) {
    return;
  }
  const request = upstreamOf(session as ServerHttp2Session).request(headers, { endStream: false });
  request.on("response", (answer) => stream.respond(answer));
  request.on("error", () => stream.close());
  stream.on("error", () => request.close());
  stream.pipe(request);
  request.pipe(stream);
}

const server =
  keyFile === undefined || certFile === undefined
    ? http2.createServer({ settings })
    : http2.createSecureServer({ settings, key: readFileSync(keyFile), cert: readFileSync(certFile) });
server.on("session", (session) => {
  session.setLocalWindowSize(16 * WINDOW_BYTES);
  session.on("error", () => {});
});
server.on("stream", serve);
server.listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => process.exit());
