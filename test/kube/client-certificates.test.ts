import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { User } from "@kubernetes/client-node";
import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { type ConnectedKubeClient, createKubeClient } from "../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { SECRET } from "../../src/kube/resources.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createTestAuthority, type KeyPairPem, type TestAuthority } from "../support/pki.ts";
import { answer, refuse, TestApiServer } from "../support/test-api-server.ts";

const KEY = { namespace: "apps", name: "web" };
const SECRET_JSON = { apiVersion: "v1", kind: "Secret", metadata: { ...KEY, resourceVersion: "7" } };
/** A TLS record with a fatal alert, unknown_ca (RFC 8446, section 6.2): the answer to a certificate of an unknown authority. */
const UNKNOWN_CA = Buffer.from([21, 3, 3, 0, 2, 2, 48]);

/** client-go runs an exec plugin again after a 401 (its exec.go), and so do we; files are read again. */
describe("client certificates that the API server refuses", () => {
  let server: TestApiServer;
  let authority: TestAuthority;
  let stranger: TestAuthority;
  let directory: string;
  const clients: ConnectedKubeClient[] = [];

  const connect = (
    user: Partial<User>,
    { url = server.url, clock = systemClock }: { readonly url?: string; readonly clock?: Clock } = {},
  ): ConnectedKubeClient => {
    const config = server.config(user);
    config.clusters = config.clusters.map((cluster) => ({ ...cluster, server: url }));
    const client = createKubeClient({
      config,
      clock,
      random: () => 0,
      logger: silentLogger,
      metrics: createKubeMetrics(new Registry()),
      userAgent: "satellites-test/1",
      fieldManager: "satellites-test",
    });
    clients.push(client);
    return client;
  };

  /** A plugin that gives one pair at each run, in this order, and the last one from then on. */
  const plugin = async (...pairs: readonly KeyPairPem[]): Promise<Partial<User>> => {
    const runs = join(directory, "runs");
    const credentials = join(directory, "credentials.json");
    await writeFile(
      credentials,
      JSON.stringify(
        pairs.map(({ cert, key }) => ({ status: { clientCertificateData: cert, clientKeyData: key } })),
      ),
    );
    const script = `
      const { appendFileSync, readFileSync } = require("node:fs");
      appendFileSync(${JSON.stringify(runs)}, "x");
      const run = readFileSync(${JSON.stringify(runs)}, "utf8").length;
      const all = JSON.parse(readFileSync(${JSON.stringify(credentials)}, "utf8"));
      console.log(JSON.stringify(all[Math.min(run, all.length) - 1]));`;
    return { exec: { command: process.execPath, args: ["-e", script] } };
  };

  const shown = (): (string | undefined)[] => server.received.map(({ clientName }) => clientName);

  before(async () => {
    authority = await createTestAuthority("test");
    stranger = await createTestAuthority("stranger");
  });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "certificates-"));
    server = new TestApiServer();
    await server.start({ authority, clientCertificates: true });
    server.fallback = answer(200, SECRET_JSON);
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await server.stop();
    await rm(directory, { recursive: true });
  });

  it("are asked of the exec plugin again, and the refused call is repeated with the new one", async () => {
    const client = connect(
      await plugin(await authority.issueClient("old"), await authority.issueClient("new")),
    );
    server.next(answer(200, SECRET_JSON), refuse(401, "Unauthorized"));
    await client.get(SECRET, KEY);
    await client.create(SECRET, SECRET_JSON);
    await client.get(SECRET, KEY);
    expect(shown()).to.deep.equal(["old", "old", "new", "new"]);
  });

  it("are read again from their files", async () => {
    const [certFile, keyFile] = [join(directory, "tls.crt"), join(directory, "tls.key")];
    const write = async ({ cert, key }: KeyPairPem): Promise<void> => {
      await writeFile(certFile, cert);
      await writeFile(keyFile, key);
    };
    await write(await authority.issueClient("old"));
    const client = connect({ certFile, keyFile });
    await client.get(SECRET, KEY);
    await write(await authority.issueClient("new"));
    server.next(refuse(401, "Unauthorized"));
    await client.create(SECRET, SECRET_JSON);
    expect(shown()).to.deep.equal(["old", "old", "new"]);
  });

  it("are asked for again when the server ends the connection over them without a word", async () => {
    const client = connect(
      await plugin(await stranger.issueClient("old"), await authority.issueClient("new")),
    );
    await client.get(SECRET, KEY);
    expect(shown()).to.deep.equal(["new"]);
  });

  it("are not asked for at each connection that a server ends without a word", async () => {
    const client = connect(
      await plugin(
        await stranger.issueClient("1"),
        await stranger.issueClient("2"),
        await authority.issueClient("3"),
      ),
      // However slow this machine is, it all happens within a moment.
      { clock: { ...systemClock, monotonicMs: () => 0 } },
    );
    const failure = await client.get(SECRET, KEY).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).to.include({ reason: "Unreachable" });
    expect(shown()).to.deep.equal([]);
  });

  it("are asked for again after an alert within the handshake, and a write is repeated since none was sent", async () => {
    let connections = 0;
    const front = createServer((socket) => {
      connections += 1;
      socket.on("error", () => {});
      socket.once("data", () => socket.end(UNKNOWN_CA));
    });
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    const { port } = front.address() as { port: number };
    const client = connect(
      await plugin(await authority.issueClient("old"), await authority.issueClient("new")),
      { url: `https://127.0.0.1:${port}` },
    );
    const failure = await client.create(SECRET, SECRET_JSON).then(
      () => undefined,
      (error: unknown) => error,
    );
    front.close();
    expect(failure).to.have.property("message").that.includes("ALERT_UNKNOWN_CA");
    expect(connections).to.equal(2);
  });

  it("are read again at once when certificate and key do not fit, as between the writes of two files", async () => {
    const old = await authority.issueClient("old");
    const fresh = await authority.issueClient("new");
    const client = connect(await plugin({ cert: old.cert, key: fresh.key }, fresh));
    await client.create(SECRET, SECRET_JSON);
    expect(shown()).to.deep.equal(["new"]);
  });
});
