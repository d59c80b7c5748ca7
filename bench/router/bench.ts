import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { generate } from "selfsigned";
import { measureWakes } from "./wake.ts";
import { CONTENDERS, freePort, Running, type Contender, type Site } from "./contenders.ts";

/**
 * Compares the router's engines with their peers, all in one run, in front of one nghttpd, under h2load:
 * `node bench/router/bench.ts [seconds per cell, default 3]`. It judges nothing; read the ratios.
 */
const run = promisify(execFile);
const seconds = Number(process.argv[2] ?? "3");

interface Row {
  readonly name: string;
  readonly connections: number;
  readonly streams: number;
  readonly path: string;
  readonly isTls: boolean;
  readonly headers: readonly string[];
}

interface Cell {
  readonly row: string;
  readonly contender: string;
  readonly requestsPerSecond: number;
  readonly cpuMicrosPerRequest: number;
  readonly failed: number;
}

const GRPC_HEADERS = [
  "te: trailers",
  "content-type: application/grpc",
  "user-agent: grpc-go/1.76.0",
  "grpc-accept-encoding: gzip",
  "authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef",
  "x-request-id: 6f1e4c1a-44d0-4b8e-9c1c-6d2f5a3b7e90",
  "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
];
const small = { path: "/small", isTls: false, headers: [] };
const ROWS: readonly Row[] = [
  { name: "8 x 32", connections: 8, streams: 32, ...small },
  { name: "8 x 32, gRPC-like headers", connections: 8, streams: 32, ...small, headers: GRPC_HEADERS },
  { name: "32 x 4", connections: 32, streams: 4, ...small },
  { name: "64 x 1", connections: 64, streams: 1, ...small },
  { name: "1 MiB bodies, 8 x 4", connections: 8, streams: 4, ...small, path: "/large" },
  { name: "8 x 32, TLS", connections: 8, streams: 32, ...small, isTls: true },
  { name: "1 MiB bodies, 8 x 4, TLS", connections: 8, streams: 4, ...small, path: "/large", isTls: true },
];

function isInstalled(program: string): boolean {
  return spawnSync(program, ["--version"]).error === undefined;
}

function version(program: string): string {
  const { stdout, stderr } = spawnSync(program, [program === "nginx" ? "-v" : "--version"], {
    encoding: "utf8",
  });
  return `${stdout}${stderr}`.split("\n")[0] ?? "";
}

async function prepare(): Promise<Site> {
  const directory = mkdtempSync(path.join(os.tmpdir(), "bench-router-"));
  mkdirSync(path.join(directory, "www"));
  writeFileSync(path.join(directory, "www", "small"), "hello\n");
  writeFileSync(path.join(directory, "www", "large"), Buffer.alloc(1024 * 1024, 1));
  const { private: key, cert } = await generate([{ name: "commonName", value: "localhost" }], {
    keySize: 2048,
  });
  const keyFile = path.join(directory, "key.pem");
  const certFile = path.join(directory, "cert.pem");
  writeFileSync(keyFile, key);
  writeFileSync(certFile, cert);
  return { directory, upstreamPort: await freePort(), keyFile, certFile };
}

async function measure(row: Row, contender: string, proxy: Running, port: number): Promise<Cell> {
  const before = proxy.cpuMicros();
  const { stdout } = await run("h2load", [
    `--duration=${seconds}`,
    `--clients=${row.connections}`,
    `--max-concurrent-streams=${row.streams}`,
    "--window-bits=20",
    "--connection-window-bits=24",
    ...row.headers.map((header) => `--header=${header}`),
    `${row.isTls ? "https" : "http"}://127.0.0.1:${port}${row.path}`,
  ]);
  const cpuMicros = proxy.cpuMicros() - before;
  const done = Number(/(\d+) done/.exec(stdout)?.[1] ?? "0");
  const failed = Number(/(\d+) failed/.exec(stdout)?.[1] ?? "0");
  return {
    row: row.name,
    contender,
    requestsPerSecond: Math.round(done / seconds),
    cpuMicrosPerRequest: Number((cpuMicros / Math.max(1, done)).toFixed(2)),
    failed,
  };
}

async function measureRow(row: Row, site: Site, contenders: readonly Contender[]): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const contender of contenders) {
    const port = await freePort();
    const proxy = await Running.start(contender.command(site, port, row.isTls), port);
    try {
      const cell = await measure(row, contender.name, proxy, port);
      cells.push(cell);
      process.stdout.write(
        `${row.name.padEnd(28)} ${contender.name.padEnd(8)} ${String(cell.requestsPerSecond).padStart(8)} req/s ` +
          `${String(cell.cpuMicrosPerRequest).padStart(8)} us CPU${cell.failed > 0 ? ` ${cell.failed} FAILED` : ""}\n`,
      );
    } finally {
      await proxy.stop();
    }
  }
  return cells;
}

/** Our figure over each peer's: requests per second (more is better) and CPU (less is better). */
function ratios(
  cells: readonly Cell[],
): Record<string, Record<string, { readonly rate: number; readonly cpu: number }>> {
  const table: Record<string, Record<string, { rate: number; cpu: number }>> = {};
  for (const own of cells.filter(({ contender }) => contender === "direct")) {
    for (const peer of cells.filter(({ contender, row }) => contender !== "direct" && row === own.row)) {
      (table[own.row] ??= {})[peer.contender] = {
        rate: Number((own.requestsPerSecond / peer.requestsPerSecond).toFixed(2)),
        cpu: Number((own.cpuMicrosPerRequest / peer.cpuMicrosPerRequest).toFixed(2)),
      };
    }
  }
  return table;
}

const missing = ["h2load", "nghttpd"].filter((program) => !isInstalled(program));
if (missing.length > 0) {
  process.stderr.write(
    `skipped: ${missing.join(" and ")} missing (Debian: nghttp2-client, nghttp2-server)\n`,
  );
  process.exit(0);
}
const contenders = CONTENDERS.filter(({ program }) => isInstalled(program));
for (const { name } of CONTENDERS.filter((contender) => !contenders.includes(contender))) {
  process.stdout.write(`left out: ${name} is not installed\n`);
}
const site = await prepare();
const server = await Running.start(
  [
    "nghttpd",
    "--no-tls",
    "--address=127.0.0.1",
    "-w20",
    "-W24",
    `--htdocs=${site.directory}/www`,
    String(site.upstreamPort),
  ],
  site.upstreamPort,
);
try {
  const cells: Cell[] = [];
  for (const row of ROWS) {
    cells.push(...(await measureRow(row, site, contenders)));
  }
  const table = ratios(cells);
  for (const [row, peers] of Object.entries(table)) {
    const text = Object.entries(peers).map(([name, { rate, cpu }]) => `${name} ${rate} (CPU ${cpu})`);
    process.stdout.write(`${row.padEnd(28)} over ${text.join(", ")}\n`);
  }
  const wakes = await measureWakes();
  process.stdout.write(`${JSON.stringify(wakes, undefined, 2)}\n`);
  const resultFile = path.join(import.meta.dirname, "..", "results", "router.json");
  mkdirSync(path.dirname(resultFile), { recursive: true });
  const machine = {
    cpus: os.cpus().length,
    model: os.cpus()[0]?.model,
    memoryBytes: os.totalmem(),
    kernel: os.release(),
    // What else the machine did: far above the number of processors, only ratios of processor time mean something.
    loadAverage: os.loadavg().map((load) => Number(load.toFixed(1))),
  };
  const versions = Object.fromEntries(
    ["h2load", ...contenders.map(({ program }) => program)].map((program) => [
      path.basename(program),
      version(program),
    ]),
  );
  writeFileSync(
    resultFile,
    `${JSON.stringify({ machine, versions, seconds, cells, ratios: table, wakes }, undefined, 2)}\n`,
  );
} finally {
  await server.stop();
  rmSync(site.directory, { recursive: true, force: true });
}
