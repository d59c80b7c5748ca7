import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import process from "node:process";
import type { Prerequisite } from "../../src/local/qemu/prerequisites.ts";

/** Ports and files that every contender works with. */
export interface Site {
  readonly directory: string;
  readonly upstreamPort: number;
  readonly keyFile: string;
  readonly certFile: string;
}

/** A proxy under test: how to start it in front of the site's server. */
export interface Contender {
  readonly name: string;
  /** The program that must be installed. */
  readonly program: string;
  /** Command line for a listener on `port`. */
  command(site: Site, port: number, isTls: boolean): readonly string[];
}

const COMPARE = "compare the router with its peers";

/** The peers, the client and the server of the bench, and Debian's packages of them. */
export const BENCH_PROGRAMS: readonly Prerequisite[] = [
  { program: "h2load", debianPackage: "nghttp2-client", purpose: "measure" },
  { program: "nghttpd", debianPackage: "nghttp2-server", purpose: "have a server behind the proxies" },
  { program: "nghttpx", debianPackage: "nghttp2-proxy", purpose: COMPARE },
  { program: "haproxy", debianPackage: "haproxy", purpose: COMPARE },
  { program: "nginx", debianPackage: "nginx", purpose: COMPARE },
  { program: "apt-get", debianPackage: "apt", purpose: "install the others" },
];

/** A program of ours, run by this Node. */
function own(name: string, program: string, ...args: readonly string[]): Contender {
  return {
    name,
    program: process.execPath,
    command: ({ upstreamPort, keyFile, certFile }, port, isTls) => [
      process.execPath,
      path.join(import.meta.dirname, program),
      ...args,
      String(upstreamPort),
      String(port),
      ...(isTls ? [keyFile, certFile] : []),
    ],
  };
}

/** @param reuse whether requests of several clients may share a connection to the server, see HAProxy's `http-reuse` */
function haproxy(name: string, reuse: "safe" | "never"): Contender {
  return {
    name,
    program: "haproxy",
    command(site, port, isTls) {
      const pemFile = path.join(site.directory, "haproxy.pem");
      writeFileSync(
        pemFile,
        `${readFileSync(site.certFile, "utf8")}\n${readFileSync(site.keyFile, "utf8")}\n`,
      );
      const listener = isTls ? `ssl crt ${pemFile} alpn h2` : "proto h2";
      const file = path.join(site.directory, `haproxy-${port}.cfg`);
      writeFileSync(
        file,
        `global
  nbthread 1
  tune.h2.initial-window-size 16777216
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse ${reuse}
frontend clients
  bind 127.0.0.1:${port} ${listener}
  default_backend servers
backend servers
  server one 127.0.0.1:${site.upstreamPort} proto h2
`,
      );
      return ["haproxy", "-q", "-db", "-f", file];
    },
  };
}

/**
 * The router, all checks on, and its peers: one process (and where they have threads, one thread)
 * each. nghttpx, and HAProxy by default, let the requests of many clients share a connection to the server; the router,
 * and the second HAProxy, give each client its own, so that what one tenant's client does to its connection is no
 * other's affair.
 */
export const CONTENDERS: readonly Contender[] = [
  own("router", "router-server.ts"),
  {
    name: "nghttpx",
    program: "nghttpx",
    command: (site, port, isTls) => [
      "nghttpx",
      "--single-process",
      "--workers=1",
      "--log-level=FATAL",
      "--accesslog-file=/dev/null",
      "--errorlog-file=/dev/null",
      "--conf=/dev/null",
      // By default windows are 64 KiB, which would measure round trips.
      "--frontend-http2-window-size=16M",
      "--frontend-http2-connection-window-size=64M",
      "--backend-http2-window-size=16M",
      `--frontend=127.0.0.1,${port}${isTls ? "" : ";no-tls"}`,
      `--backend=127.0.0.1,${site.upstreamPort};;proto=h2`,
      ...(isTls ? [site.keyFile, site.certFile] : []),
    ],
  },
  haproxy("haproxy", "safe"),
  haproxy("haproxy, own connections", "never"),
  {
    name: "nginx",
    program: "nginx",
    command(site, port, isTls) {
      const file = path.join(site.directory, `nginx-${port}.conf`);
      writeFileSync(
        file,
        `worker_processes 1;
daemon off;
master_process off;
error_log /dev/null;
pid ${site.directory}/nginx-${port}.pid;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${site.directory}/nginx-body;
  client_max_body_size 0;
  upstream servers { server 127.0.0.1:${site.upstreamPort}; keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} http2${isTls ? " ssl" : ""};
    ${isTls ? `ssl_certificate ${site.certFile}; ssl_certificate_key ${site.keyFile};` : ""}
    keepalive_requests 100000000;
    location / { grpc_pass grpc://servers; }
  }
}
`,
      );
      return ["nginx", "-p", site.directory, "-c", file];
    },
  },
  own("node:http2", "node-proxy.ts"),
];

/** The router with one worker and with several, and a peer with as many. */
export function workerContenders(count: number): readonly Contender[] {
  const nghttpx = CONTENDERS.find(({ program }) => program === "nghttpx");
  return [
    own("one worker", "router-server.ts"),
    own(`${count} workers`, "router-server.ts", `--workers=${count}`),
    ...(nghttpx === undefined
      ? []
      : [
          {
            ...nghttpx,
            name: `nghttpx, ${count} workers`,
            command: (site: Site, port: number, isTls: boolean): readonly string[] =>
              nghttpx
                .command(site, port, isTls)
                .map((argument) => (argument === "--workers=1" ? `--workers=${count}` : argument)),
          },
        ]),
  ];
}

/** A process that was started, and how much processor time it used. */
export class Running {
  readonly #child: ChildProcess;
  #output = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on("data", (chunk: Buffer) => (this.#output += String(chunk)));
  }

  /** Starts a command and waits until something listens on `port`. */
  static async start(command: readonly string[], port: number): Promise<Running> {
    const [program = "", ...args] = command;
    const child = spawn(program, args, {
      stdio: command[0] === process.execPath ? ["ignore", "pipe", "inherit"] : "ignore",
    });
    const running = new Running(child);
    for (let attempt = 0; attempt < 200; attempt += 1) {
      if (child.exitCode !== null) {
        throw new Error(`${program} ended with ${child.exitCode}; its command was: ${command.join(" ")}`);
      }
      if (await isListening(port)) {
        return running;
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
    await running.stop();
    throw new Error(`${program} did not listen on port ${port} within 10 s`);
  }

  /** Processor time of the process and its children so far, in microseconds (proc(5): ticks of 10 ms). */
  cpuMicros(): number {
    let ticks = 0;
    const queue = [this.#child.pid ?? 0];
    for (let pid = queue.shift(); pid !== undefined; pid = queue.shift()) {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        const children = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim();
        queue.push(...children.split(" ").filter(Boolean).map(Number));
      }
    }
    return ticks * 10_000;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** @returns what the process printed */
  async stop(): Promise<string> {
    if (this.#child.exitCode === null) {
      const ended = once(this.#child, "close");
      this.#child.kill("SIGTERM");
      await ended;
    }
    return this.#output;
  }
}

async function isListening(port: number): Promise<boolean> {
  const socket = net.connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A port that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
