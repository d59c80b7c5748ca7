import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** Which rooms each room may import (docs/architecture.md). `commands` wires and may import everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  satellite: [],
  telemetry: ["base"],
  guest: ["base"],
  http2: ["base"],
  kube: ["base", "telemetry"],
  machines: ["base", "telemetry"],
  page: ["base", "kube", "satellite", "telemetry"],
  operator: ["base", "kube", "machines", "satellite", "telemetry"],
  router: ["base", "http2", "kube", "satellite", "telemetry"],
  cli: ["base", "guest", "http2", "kube", "satellite", "telemetry"],
  local: ["base", "telemetry"],
};

/** What the operator may see of the machines' room. */
const PORT: ReadonlySet<string> = new Set([
  "src/machines/cloud.ts",
  "src/machines/errors.ts",
  "src/machines/tags.ts",
]);

interface Import {
  readonly from: string;
  readonly specifier: string;
  /** Path of the imported file from the root; undefined for packages. */
  readonly to: string | undefined;
  readonly isType: boolean;
  /** What is imported by name. */
  readonly names: readonly string[];
}

/** The only file of the relay that opens sockets. */
const TCP_WIRE = "src/router/relay/tcp-wire.ts";

/** What node:net has that knows addresses and opens no socket. */
const ADDRESS_NAMES: ReadonlySet<string> = new Set(["BlockList", "isIP"]);

const IMPORT =
  /^\s*(?:import|export)\s+(?<type>type\s)?(?<names>[^;'"]*?)from\s+["'](?<specifier>[^"']+)["']/gm;
const SIDE_EFFECT_IMPORT = /^\s*import\s+["'](?<specifier>[^"']+)["']/gm;
const DYNAMIC_IMPORT = /\bimport\(\s*["'](?<specifier>[^"']+)["']\s*\)/g;

/** The names between braces; none for a whole module. */
function namesIn(clause: string): string[] {
  const braces = /^\s*\{(?<list>[^}]*)\}\s*$/.exec(clause)?.groups?.["list"] ?? "";
  return braces
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  const matches = [IMPORT, SIDE_EFFECT_IMPORT, DYNAMIC_IMPORT].flatMap((pattern) => [
    ...text.matchAll(pattern),
  ]);
  return matches.map(({ groups }) => {
    const specifier = groups?.["specifier"] ?? "";
    const to = specifier.startsWith(".") ? normalize(join(dirname(file), specifier)) : undefined;
    return {
      from: file,
      specifier,
      to,
      isType: groups?.["type"] !== undefined,
      names: namesIn(groups?.["names"] ?? ""),
    };
  });
}

const files = globSync("src/**/*.ts", { cwd: ROOT })
  .map((file) => relative(".", file))
  .toSorted();
const imports = files.flatMap(importsOf);
const room = (file: string): string => (file.split("/").length > 2 ? (file.split("/")[1] ?? "") : "main");

describe("architecture", () => {
  it("has sources to check", () => {
    expect(files.length).to.be.greaterThan(50);
    expect(imports.length).to.be.greaterThan(100);
  });

  it("keeps every file in a room of the plan", () => {
    const rooms = new Set(files.map(room));
    rooms.delete("main");
    rooms.delete("commands");
    expect([...rooms].filter((name) => MAY_IMPORT[name] === undefined)).to.deep.equal([]);
  });

  it("imports down the table only", () => {
    const wrong = imports.filter(({ from, to }) => {
      const [here, there] = [room(from), to === undefined ? undefined : room(to)];
      if (there === undefined || here === there || here === "main" || here === "commands") {
        return false;
      }
      return MAY_IMPORT[here]?.includes(there) !== true;
    });
    expect(wrong.map(({ from, to }) => `${from} imports ${to ?? ""}`)).to.deep.equal([]);
  });

  it("lets nobody outside its room see EC2, and the operator see the machines' port only", () => {
    const wrong = imports.filter(
      ({ from, to = "" }) =>
        room(from) !== "machines" &&
        (to.startsWith("src/machines/ec2/") ||
          (room(from) === "operator" && room(to) === "machines" && !PORT.has(to))),
    );
    expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).to.deep.equal([]);
  });

  it("imports the AWS SDK only in machines/ec2", () => {
    const wrong = imports.filter(
      ({ from, specifier }) =>
        /^@(aws-sdk|smithy)\//.test(specifier) && !from.startsWith("src/machines/ec2/"),
    );
    expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).to.deep.equal([]);
  });

  it("opens sockets only in router, local and cli", () => {
    const wrong = imports.filter(
      ({ from, specifier, isType, names }) =>
        /^(?:node:)?(?:http2|net|tls|dgram)$/.test(specifier) &&
        !isType &&
        !(names.length > 0 && names.every((name) => ADDRESS_NAMES.has(name))) &&
        !["router", "local", "cli"].includes(room(from)),
    );
    expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).to.deep.equal([]);
  });

  it("keeps sockets, files and timers out of the HTTP/2 core: wires and the clock are handed to it", () => {
    const core = files.filter((file) => /^src\/(?:http2|router\/relay)\//.test(file) && file !== TCP_WIRE);
    const wrong = imports.filter(
      ({ from, specifier, isType }) => core.includes(from) && specifier.startsWith("node:") && !isType,
    );
    expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).to.deep.equal([]);
    const timing = core.filter((file) =>
      /\b(?:setTimeout|setInterval|setImmediate|performance|Date)\b/.test(
        readFileSync(join(ROOT, file), "utf8"),
      ),
    );
    expect(timing).to.deep.equal([]);
  });

  it("reads the environment only in main.ts", () => {
    const wrong = files.filter(
      (file) =>
        file !== "src/main.ts" && /\bprocess\s*\.\s*env\b/.test(readFileSync(join(ROOT, file), "utf8")),
    );
    expect(wrong).to.deep.equal([]);
  });

  it("keeps no mutable state at module level", () => {
    const wrong = files.filter((file) =>
      /^(?:export )?(?:let|var)\s/m.test(readFileSync(join(ROOT, file), "utf8")),
    );
    expect(wrong).to.deep.equal([]);
  });

  it("knows no room that does not exist", () => {
    const rooms = new Set(files.map(room));
    expect(Object.keys(MAY_IMPORT).filter((name) => !rooms.has(name))).to.deep.equal([]);
  });

  it("has no import cycle, of types neither", () => {
    expect(findCycle(graphOf(imports))).to.equal(undefined);
  });

  it("finds a cycle where there is one", () => {
    const graph = new Map([
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["a"]],
    ]);
    expect(findCycle(graph)).to.deep.equal(["a", "b", "c", "a"]);
  });
});

function graphOf(all: readonly Import[]): Map<string, string[]> {
  const graph = new Map<string, string[]>();
  for (const { from, to } of all) {
    if (to !== undefined) {
      graph.set(from, [...(graph.get(from) ?? []), to]);
    }
  }
  return graph;
}

function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (node: string, path: readonly string[]): string[] | undefined => {
    const at = path.indexOf(node);
    if (at >= 0) {
      return [...path.slice(at), node];
    }
    if (done.has(node)) {
      return undefined;
    }
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next, [...path, node]);
      if (cycle !== undefined) {
        return cycle;
      }
    }
    done.add(node);
    return undefined;
  };
  for (const node of graph.keys()) {
    const cycle = visit(node, []);
    if (cycle !== undefined) {
      return cycle;
    }
  }
  return undefined;
}
