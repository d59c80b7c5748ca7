import { expect } from "chai";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { runOperator, type OperatorCommandOptions } from "../../src/commands/operator.ts";
import { ProcessFaults } from "../../src/commands/process-faults.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/process.ts";
import { answer, refuse, reset, TestApiServer } from "../support/test-api-server.ts";

describe("an operator that starts", () => {
  let directory: string;
  let server: TestApiServer;
  let stop: AbortController;
  let healthPort: number;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "satellites-operator-"));
    server = new TestApiServer();
    await server.start();
    stop = new AbortController();
    healthPort = await freePort();
  });
  afterEach(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  function start(more: Pick<OperatorCommandOptions, "shard" | "namespaceSelector"> = {}): Promise<void> {
    const kubeconfig = join(directory, "kubeconfig");
    writeFileSync(kubeconfig, server.config({ token: "t" }).exportConfig());
    const options = {
      kubeconfig,
      namespace: "satellites",
      healthAddress: `127.0.0.1:${healthPort}`,
      concurrency: 1,
      listPeriodSeconds: 60,
      leaseSeconds: 15,
      timing: "ec2",
      ...more,
    } as const;
    const faults = new ProcessFaults({ clock: systemClock, logger: silentLogger, exit: () => {} });
    const context = { environment: {}, clock: systemClock, random: () => 0.99, logger: silentLogger, faults };
    return runOperator(options, { ...context, stop: stop.signal });
  }

  const probe = async (path: string): Promise<number | undefined> => {
    const response = await fetch(`http://127.0.0.1:${healthPort}${path}`).catch(() => undefined);
    return response?.status;
  };
  const asked = (path: string): boolean => server.received.some(({ url }) => url.startsWith(path));

  it("waits for an API server that is away or refuses it, alive and not ready, and goes on when it answers", async () => {
    server.fallback = reset;
    const ended = start();
    await eventually("it asked twice", () => server.received.length > 1);
    server.fallback = refuse(403, "Forbidden");
    const before = server.received.length;
    await eventually("it asked again", () => server.received.length > before + 1);
    expect([await probe("/healthz"), await probe("/readyz")]).to.deep.equal([200, 503]);
    expect(asked("/apis/satellites.dev")).to.equal(false);
    server.fallback = answer(200, { metadata: { name: "kube-system", uid: "u" } });
    await eventually("it watches satellites", () => asked("/apis/satellites.dev"));
    stop.abort();
    await ended;
  });

  it("refuses a shard that would have all namespaces", async () => {
    for (const more of [{}, { namespaceSelector: "" }, { namespaceSelector: " " }]) {
      const refused = await start({ shard: "a", ...more }).catch((error: unknown) => error);
      expect(refused).to.have.property("code", "InvalidOption");
    }
  });

  it("ends in order when it is told to stop while it waits", async () => {
    server.fallback = reset;
    const ended = start();
    await eventually("it asked", () => server.received.length > 0);
    stop.abort();
    await ended;
    expect(await probe("/healthz")).to.equal(undefined);
  });
});
