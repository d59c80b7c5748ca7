import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { generate } from "selfsigned";
import { ensurePrerequisites } from "../../src/local/qemu/prerequisites.ts";
import {
  BENCH_PROGRAMS,
  CONTENDERS,
  freePort,
  Running,
  workerContenders,
  type Contender,
  type Site,
} from "./contenders.ts";
import { measureManySatellites, type StallFigures } from "./many-satellites.ts";
import { measure, type Cell } from "./measure.ts";
import { printTable, ratios, writePlot, type Results } from "./report.ts";
import { FILES, ROWS, type Row } from "./rows.ts";
import { measureWakes } from "./wake.ts";

/**
 * Compares the router, all its checks on, with its peers, in one run, in front of the same servers, under h2load:
 *
 *   node bench/router/bench.ts [--seconds 2] [--rounds 2] [--rows TEXT] [--workers N] [--no-wakes] [--no-install]
 *
 * As root on Debian it installs the peers that are missing, unless told not to. Contenders take turns, and each figure is the median of its rounds. It judges nothing; read the ratios.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "2" },
    rounds: { type: "string", default: "2" },
    /** Only rows whose name contains this; the results are then printed and not kept. */
    rows: { type: "string", default: "" },
    /** Compares one worker with so many, and nghttpx with as many; the results are printed and not kept. */
    workers: { type: "string" },
    "no-wakes": { type: "boolean", default: false },
    "no-install": { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const RESULTS = path.join(import.meta.dirname, "..", "results");

const NO_PROXY = "no proxy";
const MANY_SATELLITES = 50;
const MANY_ROW = `one connection to ${MANY_SATELLITES} satellites`;

function isInstalled(program: string): boolean {
  return spawnSync(program, ["--version"]).error === undefined;
}

function version(program: string): string {
  const { stdout, stderr } = spawnSync(program, [program === "nginx" ? "-v" : "--version"], {
    encoding: "utf8",
  });
  return `${stdout}${stderr}`.split("\n")[0] ?? "";
}

async function prepare(): Promise<Omit<Site, "upstreamPort">> {
  const directory = mkdtempSync(path.join(os.tmpdir(), "bench-router-"));
  mkdirSync(path.join(directory, "www"));
  for (const [name, sizeBytes] of Object.entries(FILES)) {
    writeFileSync(path.join(directory, "www", name), Buffer.alloc(sizeBytes, 1));
  }
  for (const { uploadBytes } of ROWS) {
    if (uploadBytes !== undefined) {
      writeFileSync(path.join(directory, "upload"), Buffer.alloc(uploadBytes, 1));
    }
  }
  const { private: key, cert } = await generate([{ name: "commonName", value: "localhost" }], {
    keySize: 2048,
  });
  const keyFile = path.join(directory, "key.pem");
  const certFile = path.join(directory, "cert.pem");
  writeFileSync(keyFile, key);
  writeFileSync(certFile, cert);
  return { directory, keyFile, certFile };
}

async function startBackends(directory: string): Promise<Record<Row["backend"], Backend>> {
  const files = (port: string, ...windows: readonly string[]): readonly string[] => [
    "nghttpd",
    "--no-tls",
    "--address=127.0.0.1",
    "--max-concurrent-streams=1000",
    ...windows,
    `--htdocs=${directory}/www`,
    port,
  ];
  const messages = path.join(import.meta.dirname, "message-server.ts");
  return {
    files: await startBackend((port) => files(port, "--window-bits=24", "--connection-window-bits=26")),
    narrow: await startBackend((port) => files(port)),
    messages: await startBackend((port) => [process.execPath, messages, port]),
  };
}

async function startBackend(command: (port: string) => readonly string[]): Promise<Backend> {
  const port = await freePort();
  return { port, process: await Running.start(command(String(port)), port) };
}

interface Backend {
  readonly port: number;
  readonly process: Running;
}

async function measureProxy(row: Row, site: Site, contender: Contender): Promise<Cell> {
  const port = await freePort();
  const proxy = await Running.start(contender.command(site, port, row.isTls === true), port);
  try {
    return await measure({ row, port, seconds, directory: site.directory, proxy });
  } finally {
    const printed = await proxy.stop();
    if (printed !== "") {
      const { loopDelayP99Ms } = JSON.parse(printed) as { loopDelayP99Ms: number };
      loopDelays[contender.name] = Math.max(loopDelays[contender.name] ?? 0, loopDelayP99Ms);
    }
  }
}

/** The worst that the routers saw of their own event loops, by contender. */
const loopDelays: Record<string, number> = {};

/** The middle one of several cells, by rate; its processor time is the middle one of all. */
function median(cells: readonly Cell[]): Cell {
  const byRate = cells.toSorted((left, right) => left.requestsPerSecond - right.requestsPerSecond);
  const middle = byRate[byRate.length >> 1] as Cell;
  const cpu = cells
    .map(({ cpuMicrosPerRequest }) => cpuMicrosPerRequest)
    .filter((value) => value !== undefined)
    .toSorted((left, right) => left - right);
  const cpuMicrosPerRequest = cpu[cpu.length >> 1];
  return {
    ...middle,
    failed: cells.reduce((sum, { failed }) => sum + failed, 0),
    ...(cpuMicrosPerRequest === undefined ? {} : { cpuMicrosPerRequest }),
  };
}

function printCell(row: Row, name: string, cell: Cell): void {
  const { latencyMicros, cpuMicrosPerRequest, failed } = cell;
  process.stdout.write(
    [
      row.name.padEnd(40),
      name.padEnd(26),
      `${cell.requestsPerSecond} req/s`.padStart(14),
      cpuMicrosPerRequest === undefined ? "" : `${cpuMicrosPerRequest} µs`.padStart(12),
      latencyMicros === undefined ? "" : `p50 ${latencyMicros.p50} µs, p99 ${latencyMicros.p99} µs`,
      failed > 0 ? `${failed} FAILED` : "",
      "\n",
    ].join(" "),
  );
}

/** One satellite that hangs must not be felt by the others: as many requests, as fast, and no answer missing. */
function printStall({ well, stalled }: StallFigures): void {
  for (const [name, figures] of Object.entries({ "all well": well, "one hangs": stalled })) {
    const { requestsPerSecond, p50Micros, p99Micros, failed, silent } = figures;
    process.stdout.write(
      [
        MANY_ROW.padEnd(40),
        name.padEnd(26),
        `${requestsPerSecond} req/s`.padStart(14),
        `p50 ${p50Micros} µs, p99 ${p99Micros} µs`,
        failed > 0 ? `${failed} FAILED` : "",
        silent > 0 ? `${silent} SATELLITES DID NOT ANSWER` : "",
        "\n",
      ].join(" "),
    );
  }
}

async function measureRow(
  row: Row,
  site: Site,
  contenders: readonly Contender[],
): Promise<Record<string, Cell>> {
  const cells: Record<string, Cell[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of contenders) {
      (cells[contender.name] ??= []).push(await measureProxy(row, site, contender));
    }
    if (row.isLatency === true && row.isTls !== true) {
      (cells[NO_PROXY] ??= []).push(
        await measure({ row, port: site.upstreamPort, seconds, directory: site.directory }),
      );
    }
  }
  const medians = Object.fromEntries(Object.entries(cells).map(([name, list]) => [name, median(list)]));
  for (const [name, cell] of Object.entries(medians)) {
    printCell(row, name, cell);
  }
  return medians;
}

try {
  await ensurePrerequisites({
    path: process.env["PATH"] ?? "",
    mayInstall: !values["no-install"],
    isRoot: process.getuid?.() === 0,
    progress: (line) => console.log(line),
    prerequisites: BENCH_PROGRAMS,
  });
} catch (error) {
  // Whoever is not there is left out, and goals beside it are not measured.
  console.error(error instanceof Error ? error.message : error);
}
const missing = ["h2load", "nghttpd"].filter((program) => !isInstalled(program));
if (missing.length > 0) {
  process.stderr.write(
    `cannot measure: ${missing.join(" and ")} missing (Debian: apt-get install nghttp2-client nghttp2-server)\n`,
  );
  process.exit(1);
}
const candidates = values.workers === undefined ? CONTENDERS : workerContenders(Number(values.workers));
const contenders = candidates.filter(({ program }) => isInstalled(program));
for (const { name, program } of candidates.filter((contender) => !contenders.includes(contender))) {
  process.stdout.write(`left out: ${name}, since ${program} is not installed\n`);
}
const places = await prepare();
const backends = await startBackends(places.directory);
try {
  const startedLoad = os.loadavg().map((load) => Number(load.toFixed(1)));
  const cells: Record<string, Record<string, Cell>> = {};
  for (const row of ROWS.filter(({ name }) => name.includes(values.rows))) {
    const site = { ...places, upstreamPort: backends[row.backend].port };
    cells[row.name] = await measureRow(row, site, contenders);
  }
  let manySatellites: StallFigures | undefined;
  if (values.workers === undefined && MANY_ROW.includes(values.rows)) {
    manySatellites = await measureManySatellites({ satellites: MANY_SATELLITES, seconds });
    printStall(manySatellites);
  }
  const results: Results = {
    machine: {
      cpus: os.cpus().length,
      model: os.cpus()[0]?.model ?? "unknown",
      kernel: os.release(),
      // What else the machine did: only on an idle one do rates mean something.
      loadAverageBefore: startedLoad,
    },
    versions: Object.fromEntries(
      [...new Set(["h2load", ...contenders.map(({ program }) => program)])].map((program) => [
        path.basename(program),
        version(program),
      ]),
    ),
    seconds,
    rounds,
    cells,
    ratios: ratios(cells),
    loopDelayP99Ms: loopDelays,
    ...(manySatellites === undefined ? {} : { manySatellites }),
    ...(values["no-wakes"] || values.workers !== undefined ? {} : { wakes: await measureWakes() }),
  };
  if (values.workers === undefined) {
    printTable(results);
  }
  if (values.rows === "" && values.workers === undefined && !values["no-wakes"]) {
    mkdirSync(RESULTS, { recursive: true });
    writeFileSync(path.join(RESULTS, "router.json"), `${JSON.stringify(results, undefined, 2)}\n`);
    writePlot(results, path.join(import.meta.dirname, "../../docs/benchmarks.svg"));
  }
} finally {
  for (const { process: backend } of Object.values(backends)) {
    await backend.stop();
  }
  rmSync(places.directory, { recursive: true, force: true });
}
