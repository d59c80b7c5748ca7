import { Metadata } from "@grpc/grpc-js";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { connectGuest } from "../../src/guest/client.ts";
import { NAMESPACE } from "../../src/kube/resources.ts";
import { SATELLITE_CLASSES, SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import type { TestSystem } from "../e2e/local-system.ts";

/** How long the story takes. */
export const STORY_SECONDS = 125;

const PRICES = {
  currency: "USD",
  perHour: { "t3.small": "0.0208", "m7i.large": "0.1008" },
  perGiBMonth: "0.08",
};

/** By team and name: the second at which each is called, and for how many seconds the call is open. */
const TEAMS: Readonly<Record<string, Readonly<Record<string, readonly (readonly [number, number])[]>>>> = {
  "team-a": {
    ada: [
      [2, 3],
      [18, 30],
      [70, 20],
      [112, 60],
    ],
    barbara: [
      [8, 12],
      [45, 6],
      [95, 4],
    ],
    grace: [
      [30, 25],
      [80, 3],
    ],
  },
  "team-b": {
    edsger: [
      [5, 4],
      [40, 40],
      [110, 2],
    ],
    tony: [
      [60, 8],
      [115, 30],
    ],
  },
};

/** Two teams at work, with what goes wrong now and then; resolves while the last calls are open. */
export async function tellStory(test: TestSystem): Promise<void> {
  const { client } = test;
  const spec = { prices: PRICES };
  await client.patch(SATELLITE_CLASSES, { name: "default" }, { type: "merge", body: { spec } });
  const calls: Promise<void>[] = [];
  for (const [namespace, satellites] of Object.entries(TEAMS)) {
    await client.create(NAMESPACE, { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
    for (const [name, times] of Object.entries(satellites)) {
      const size = name === "grace" ? { size: "large" } : {};
      await create(test, namespace, name, { idleTimeout: "5s", ...size });
      calls.push(...times.map(([at, seconds]) => call(test, `${namespace}/${name}`, at, seconds)));
    }
  }
  await create(test, "team-b", "nightly", { className: "builders", desiredPower: "on" });
  calls.push(...[20, 50, 52, 90].map((at) => call(test, "team-b/nobody", at, 1)));
  calls.push(...[35, 36].map((at) => call(test, "team-b/nightly", at, 1)));
  void Promise.all(calls);
  await sleep(systemClock, 55_000);
  await test.addFault({
    action: "StartInstances",
    kind: "refuse",
    code: "InsufficientInstanceCapacity",
    times: 2,
  });
  await sleep(systemClock, 45_000);
  await test.kill("kubernetes");
  await sleep(systemClock, (STORY_SECONDS - 100) * 1000);
}

async function create(test: TestSystem, namespace: string, name: string, spec: object): Promise<void> {
  const body = {
    apiVersion: "satellites.dev/v1alpha1",
    kind: "Satellite",
    metadata: { name, namespace },
    spec,
  };
  await test.client.create<Satellite>(SATELLITES, body as unknown as Satellite);
}

/** One call, whatever comes of it. */
async function call(test: TestSystem, key: string, atSeconds: number, seconds: number): Promise<void> {
  await sleep(systemClock, atSeconds * 1000);
  const [namespace = "", name = ""] = key.split("/");
  const metadata = new Metadata();
  metadata.set("satellite-name", name);
  metadata.set("satellite-namespace", namespace);
  const guest = connectGuest(test.system.routerAddress, { metadata });
  await guest.run("sleep", { args: [String(seconds)] }).catch(() => undefined);
  guest.close();
}
