import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { wakePatch } from "../../src/satellite/power.ts";
import { sameJson, statusPatch } from "../../src/satellite/status-patch.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import type { ApiRequestOptions } from "../../test/support/api-client.ts";
import { eventually } from "../../test/support/eventually.ts";
import type { KubeApiServer } from "../../test/support/kube-apiserver.ts";
import {
  addSleepers,
  createSatellite,
  forEachIndex,
  nameOf,
  pathOf,
  readSatellite,
  startCluster,
  SYSTEM_NAMESPACE,
  wish,
} from "./cluster.ts";
import { startFleet } from "./fleet.ts";
import { MeasuredOperator } from "./operator-process.ts";
import { usageOf } from "./process-usage.ts";

/**
 * Measures what the writes of a wake cost kube-apiserver, beside other ways to write the same:
 *
 *   node bench/operator/writes.ts [--satellites 200] [--rounds 5] [--only TEXT]
 *
 * Each way writes the statuses of a real wake to as many satellites, in turn with all others. It prints the processor time of
 * kube-apiserver and etcd for each write, and its ratio to that of the way in use.
 */
const { values } = parseArgs({
  options: {
    satellites: { type: "string", default: "200" },
    rounds: { type: "string", default: "5" },
    only: { type: "string", default: "" },
  },
});
const [satellites, rounds] = [Number(values.satellites), Number(values.rounds)];

type Status = Satellite["status"];

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const JSON_PATCH = { contentType: "application/json-patch+json" };
const MERGE_PATCH = { contentType: "application/merge-patch+json" };
const EVENTS = "/api/v1/namespaces/team-a/events";
const DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/satellites.satellites.dev";
/** In the definition. */
const SCHEMA = "/spec/versions/0/schema/openAPIV3Schema";

/** A server on which ways to write are tried, each with all satellites. */
interface Trial {
  readonly title: string;
  /** Of kube-apiserver. */
  readonly flags: readonly string[];
  readonly prepare: (server: KubeApiServer) => Promise<unknown>;
  readonly ways: readonly Way[];
}

/** One way to write what is between two statuses. @returns the satellite as it is then */
type Write = (server: KubeApiServer, before: Satellite, wanted: Status) => Promise<Satellite>;

interface Way {
  readonly title: string;
  readonly write: Write;
}

async function send(
  { admin }: KubeApiServer,
  method: "PATCH" | "PUT" | "POST",
  path: string,
  body: unknown,
  options: ApiRequestOptions = {},
): Promise<unknown> {
  const answer = await admin.request(method, path, body, options);
  if (answer.status >= 300) {
    throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  }
  return answer.body;
}

const statusOf = ({ metadata }: Satellite): string => `${pathOf(metadata.name)}/status`;

const jsonPatch =
  (options: ApiRequestOptions = {}): Write =>
  async (server, before, status) => {
    await send(server, "PATCH", statusOf(before), statusPatch(before, status), { ...JSON_PATCH, ...options });
    return { ...before, status };
  };

const AS_IT_IS: Way = { title: "JSON patch of the status", write: jsonPatch() };

const OTHERS: readonly Way[] = [
  {
    title: "merge patch",
    async write(server, before, status) {
      await send(server, "PATCH", statusOf(before), { status }, MERGE_PATCH);
      return { ...before, status };
    },
  },
  {
    title: "PUT of the whole object",
    write: async (server, before, status) =>
      (await send(server, "PUT", statusOf(before), {
        ...before,
        metadata: { ...before.metadata, managedFields: undefined },
        status,
      })) as Satellite,
  },
  {
    title: "answered by metadata alone",
    write: jsonPatch({ accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" }),
  },
  {
    title: "the router's wish instead, or its contrary",
    async write(server, before, status) {
      const path = "/spec/desiredPower";
      const off = [...wakePatch(before).slice(0, -1), { op: "add", path, value: "off" }];
      const isOn = before.spec.desiredPower === "on";
      await send(server, "PATCH", pathOf(before.metadata.name), isOn ? off : wakePatch(before), JSON_PATCH);
      return { ...before, spec: { ...before.spec, desiredPower: isOn ? "off" : "on" }, status };
    },
  },
  {
    title: "an Event instead",
    async write(server, before, status) {
      const { name, namespace, uid, resourceVersion } = before.metadata;
      const now = new Date().toISOString().replace(/\.\d+/, "");
      await send(server, "POST", EVENTS, {
        metadata: { generateName: `${name}.`, namespace },
        involvedObject: {
          apiVersion: "satellites.dev/v1alpha1",
          kind: "Satellite",
          name,
          namespace,
          uid,
          resourceVersion,
        },
        type: "Normal",
        reason: "Started",
        message: "the machine is being started because it is wished on",
        count: 1,
        firstTimestamp: now,
        lastTimestamp: now,
        source: { component: "satellites-operator", host: "operator" },
        reportingComponent: "satellites-operator",
        reportingInstance: "operator",
      });
      return { ...before, status };
    },
  },
];

const nothing = (): Promise<void> => Promise.resolve();

const TRIALS: readonly Trial[] = [
  { title: "", flags: [], prepare: nothing, ways: [AS_IT_IS, ...OTHERS] },
  {
    title: "no managedFields in the object",
    flags: [],
    prepare: (server) =>
      forEachIndex(satellites, (index) =>
        send(server, "PATCH", pathOf(nameOf(index)), { metadata: { managedFields: [{}] } }, MERGE_PATCH),
      ),
    ways: [AS_IT_IS],
  },
  {
    // Alpha, and off, since Kubernetes 1.32.
    title: "CBOR stored",
    flags: ["--feature-gates=CBORServingAndStorage=true"],
    prepare: nothing,
    ways: [AS_IT_IS, { title: "answered in CBOR", write: jsonPatch({ accept: "application/cbor" }) }],
  },
  {
    title: "no audit log",
    flags: ["--audit-log-path=", "--audit-policy-file="],
    prepare: nothing,
    ways: [AS_IT_IS],
  },
  {
    title: "managedFields for each field of the status",
    flags: [],
    prepare: (server) =>
      send(
        server,
        "PATCH",
        DEFINITION,
        [{ op: "remove", path: `${SCHEMA}/properties/status/x-kubernetes-map-type` }],
        JSON_PATCH,
      ),
    ways: [AS_IT_IS],
  },
  {
    title: "a definition without a schema",
    flags: [],
    async prepare(server) {
      const schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
      await send(server, "PATCH", DEFINITION, [{ op: "replace", path: SCHEMA, value: schema }], JSON_PATCH);
    },
    ways: [AS_IT_IS],
  },
];

/** A satellite asleep, and the statuses that the operator gives one during a wake, up to running. */
async function recordWake(server: KubeApiServer): Promise<Status[]> {
  const directory = mkdtempSync(join(os.tmpdir(), "satellites-writes-"));
  const fleet = await startFleet();
  const options = ["--kubeconfig", server.adminKubeconfig, "--namespace", SYSTEM_NAMESPACE];
  const program = [MAIN, "operator", ...options, "--ec2-endpoint", fleet.url, "--log-level", "warn"];
  const operator = await MeasuredOperator.start(program, join(directory, "operator.log"));
  try {
    await createSatellite(server.admin, fleet.guestPort);
    const phaseIs = (phase: string) => async (): Promise<boolean> =>
      (await readSatellite(server.admin, 0)).status?.phase === phase;
    await eventually("the satellite runs", phaseIs("Running"));
    await wish(server.admin, 1, "off");
    await eventually("the satellite sleeps", phaseIs("Asleep"));
    await addSleepers(server.admin, fleet, satellites);
    const asleep = await readSatellite(server.admin, 0);
    const query = `watch=1&resourceVersion=${asleep.metadata.resourceVersion ?? ""}`;
    const watch = await server.admin.watch(
      `${pathOf("").slice(0, -1)}?${query}&fieldSelector=metadata.name=${nameOf(0)}`,
    );
    fleet.slowDown();
    await wish(server.admin, 1, "on");
    const statuses = [asleep.status];
    while (statuses.at(-1)?.phase !== "Running") {
      const event = await watch.next(60_000);
      if (event === undefined) {
        throw new Error("the watch ended before the satellite ran");
      }
      const { status } = event.object as Satellite;
      if (!sameJson(status, statuses.at(-1))) {
        statuses.push(status);
      }
    }
    await watch.close();
    return statuses;
  } finally {
    await operator.process.stop("SIGTERM");
    await fleet.stop();
    rmSync(directory, { recursive: true });
  }
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

/** Processor time of kube-apiserver and etcd, in milliseconds. */
const cpuMs = ({ process: server, etcd }: KubeApiServer): number =>
  (usageOf(server.pid).cpuSeconds + usageOf(etcd.pid).cpuSeconds) * 1000;

/** Milliseconds of processor time for each write of a wake. */
async function measure(server: KubeApiServer, write: Write, statuses: readonly Status[]): Promise<number> {
  const [asleep, ...wake] = statuses;
  const subjects: Satellite[] = [];
  // Not counted: all asleep again.
  await forEachIndex(satellites, async (index) => {
    const path = pathOf(nameOf(index));
    await send(server, "PATCH", path, { spec: { desiredPower: "on" } }, MERGE_PATCH);
    const gone = Object.fromEntries(
      statuses.flatMap((status) => Object.keys(status)).map((key) => [key, null]),
    );
    const body = { status: { ...gone, ...asleep } };
    subjects[index] = (await send(server, "PATCH", `${path}/status`, body, MERGE_PATCH)) as Satellite;
  });
  const before = cpuMs(server);
  await forEachIndex(satellites, async (index) => {
    let satellite = subjects[index] as Satellite;
    for (const status of wake) {
      satellite = await write(server, satellite, status);
    }
  });
  return (cpuMs(server) - before) / (satellites * wake.length);
}

/** Starts a trial's server, with satellites that sleep. */
async function startTrial({ flags, prepare }: Trial): Promise<{ server: KubeApiServer; statuses: Status[] }> {
  const server = await startCluster(...flags);
  const statuses = await recordWake(server);
  await prepare(server);
  return { server, statuses };
}

const started: { readonly trial: Trial; readonly server: KubeApiServer; readonly statuses: Status[] }[] = [];
try {
  for (const trial of TRIALS.filter(({ title }) => title === "" || title.includes(values.only))) {
    started.push({ trial, ...(await startTrial(trial)) });
  }
  const bytes = JSON.stringify(await readSatellite(started[0]!.server.admin, 0)).length;
  const figures = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    console.error(`round ${round + 1} of ${rounds}; load ${os.loadavg()[0]?.toFixed(1)}`);
    for (const { trial, server, statuses } of started) {
      for (const { title, write } of trial.ways) {
        const name = [trial.title, title].filter((part) => part !== "").join(": ");
        figures.set(name, [...(figures.get(name) ?? []), await measure(server, write, statuses)]);
      }
    }
  }
  const inUse = median(figures.get(AS_IT_IS.title) ?? []);
  console.log(`a wake is ${(started[0]?.statuses.length ?? 0) - 1} writes of a satellite of ${bytes} bytes`);
  console.log(
    "processor time of kube-apiserver and etcd".padEnd(60),
    "ms a write".padStart(11),
    "ratio".padStart(6),
  );
  for (const [name, all] of figures) {
    console.log(
      name.padEnd(60),
      median(all).toFixed(2).padStart(11),
      (median(all) / inUse).toFixed(2).padStart(6),
    );
  }
} finally {
  await Promise.all(started.map(({ server }) => server.stop()));
}
