import { once } from "node:events";
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import path from "node:path";
import process from "node:process";

import { freePort, Running } from "./contenders.ts";
import { NAMING_HEADERS } from "./rows.ts";

/** How much is measured. */
export interface ManyScope {
  readonly satellites: number;
  readonly seconds: number;
}

/** One connection whose streams go to many satellites, one request at a time to each but the first. */
export interface ManyFigures {
  readonly requestsPerSecond: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  /** Answers that were not the right satellite's, not whole, or no success. */
  readonly failed: number;
  /** Satellites that did not answer at all. */
  readonly silent: number;
}

/** The same twice: all VMs are well; the first one hangs, with a stream open to it that wants to send it more. */
export interface StallFigures {
  readonly well: ManyFigures;
  readonly stalled: ManyFigures;
}

const [, , TOKEN = ""] = NAMING_HEADERS.map((header) => header.slice(header.indexOf(":") + 2));
const QUESTION = Buffer.alloc(1024, "q");
/** More than sockets and the router's buffers take. */
const UPLOAD_BYTES = 8 * 1024 * 1024;

/** Measures how streams of one connection to many satellites fare, before and after one of the satellites hangs. */
export async function measureManySatellites({ satellites, seconds }: ManyScope): Promise<StallFigures> {
  const ports = await Promise.all(Array.from({ length: satellites }, freePort));
  const [first = 0, ...others] = ports;
  const stalling = await startVms([first]);
  const vms = await startVms(others);
  const port = await freePort();
  const router = await Running.start(
    [process.execPath, path.join(import.meta.dirname, "router-server.ts"), ports.join(","), String(port)],
    port,
  );
  // What the hanging VM does not take waits in the client, which else refuses answers above 10 MB in all.
  const client = http2.connect(`http://127.0.0.1:${port}`, { maxSessionMemory: 64 });
  client.on("error", () => {});
  try {
    const upload = call(client, 0);
    await once(upload, "response");
    await measure(client, others, 1);
    const well = await measure(client, others, seconds);
    stalling.signal("SIGSTOP");
    upload.write(Buffer.alloc(UPLOAD_BYTES, "u"));
    const stalled = await measure(client, others, seconds);
    return { well, stalled };
  } finally {
    client.destroy();
    stalling.signal("SIGCONT");
    await Promise.all([router, stalling, vms].map((running) => running.stop()));
  }
}

function startVms(ports: readonly number[]): Promise<Running> {
  const program = path.join(import.meta.dirname, "echo-vms.ts");
  return Running.start([process.execPath, program, ...ports.map(String)], ports.at(-1) ?? 0);
}

function call(client: ClientHttp2Session, place: number): ClientHttp2Stream {
  const stream = client.request({
    ":method": "POST",
    ":path": "/bench.Echo/Echo",
    "content-type": "application/grpc",
    te: "trailers",
    "satellite-name": place === 0 ? "bench" : `bench-${place}`,
    "satellite-namespace": "team-a",
    authorization: TOKEN,
  });
  stream.on("error", () => {});
  return stream;
}

/** Asks all satellites but the first for a while; who does not answer is left behind at its end. */
async function measure(
  client: ClientHttp2Session,
  ports: readonly number[],
  seconds: number,
): Promise<ManyFigures> {
  // A signal and no clock: timers come up to a millisecond before the time that the clock shows.
  const end = new AbortController();
  const times: number[] = [];
  const heard = new Set<number>();
  const open = new Set<ClientHttp2Stream>();
  let failed = 0;
  const loops = Promise.all(
    ports.map(async (port, index) => {
      while (!end.signal.aborted) {
        const startedMs = performance.now();
        const stream = call(client, index + 1);
        open.add(stream);
        const isRight = await ask(stream, port);
        open.delete(stream);
        if (end.signal.aborted) {
          break;
        }
        heard.add(port);
        times.push((performance.now() - startedMs) * 1000);
        failed += isRight ? 0 : 1;
      }
    }),
  );
  await new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000);
  });
  end.abort();
  for (const stream of open) {
    stream.close(http2.constants.NGHTTP2_CANCEL);
  }
  await loops;
  times.sort((left, right) => left - right);
  const at = (share: number): number => Math.round(times[Math.floor(share * times.length)] ?? 0);
  return {
    requestsPerSecond: Math.round(times.length / seconds),
    p50Micros: at(0.5),
    p99Micros: at(0.99),
    failed,
    silent: ports.length - heard.size,
  };
}

/** Whether the answer is the whole one, and that of the VM at `port`. */
async function ask(stream: ClientHttp2Stream, port: number): Promise<boolean> {
  let vmPort: unknown;
  let status: unknown;
  let bytes = 0;
  stream.once("response", (headers) => (vmPort = headers["vm-port"]));
  stream.once("trailers", (trailers) => (status = trailers["grpc-status"]));
  stream.on("data", (chunk: Buffer) => (bytes += chunk.length));
  stream.end(QUESTION);
  await new Promise<void>((resolve) => {
    stream.once("close", resolve);
  });
  return vmPort === String(port) && status === "0" && bytes === QUESTION.length;
}
