import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import type { KubeConfig } from "@kubernetes/client-node";
import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { systemClock } from "../../src/base/clock.ts";
import type { Clock } from "../../src/base/clock.ts";
import type { KubeClient, WatchEvent } from "../../src/kube/client.ts";
import { KubeError } from "../../src/kube/errors.ts";
import { type ConnectedKubeClient, createKubeClient } from "../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import type { KubeObject } from "../../src/kube/objects.ts";
import { LEASE, NAMESPACE, SECRET } from "../../src/kube/resources.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { createTestAuthority, type TestAuthority } from "../support/pki.ts";
import { answer, refuse, reset, type Responder, silence, TestApiServer } from "../support/test-api-server.ts";

const KEY = { namespace: "apps", name: "web" };
const SECRET_JSON = { apiVersion: "v1", kind: "Secret", metadata: { ...KEY, resourceVersion: "7" } };

async function rejection(promise: Promise<unknown>): Promise<KubeError> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(KubeError);
    return error as KubeError;
  }
  throw new Error("the call was expected to fail");
}

/** The system's clock, whose waits up to 30 s are over at once; those waits are kept. */
function hurriedClock(waits: number[]): Clock {
  return {
    ...systemClock,
    setTimer(delayMs, callback) {
      const isDeadline = delayMs >= 10_000;
      if (!isDeadline) {
        waits.push(delayMs);
      }
      return systemClock.setTimer(isDeadline ? delayMs : 0, callback);
    },
  };
}

describe("createKubeClient", () => {
  let server: TestApiServer;
  let registry: Registry;
  let logger: CollectingLogger;
  let authority: TestAuthority;
  const clients: ConnectedKubeClient[] = [];

  const connect = (config: KubeConfig, overrides: { clock?: Clock } = {}): ConnectedKubeClient => {
    registry = new Registry();
    const client = createKubeClient({
      config,
      clock: systemClock,
      random: () => 0,
      logger,
      metrics: createKubeMetrics(registry),
      userAgent: "satellites-test/1",
      fieldManager: "satellites-test",
      ...overrides,
    });
    clients.push(client);
    return client;
  };

  before(async () => {
    authority = await createTestAuthority("test");
  });

  beforeEach(() => {
    server = new TestApiServer();
    logger = new CollectingLogger();
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await server.stop();
  });

  describe("connections", () => {
    it("makes 300 calls in a row over two TLS connections at most", async () => {
      await server.start({ authority });
      server.fallback = answer(200, SECRET_JSON);
      const client = connect(server.config());
      for (let call = 0; call < 300; call++) {
        await client.get(SECRET, KEY);
      }
      expect(server.received).to.have.length(300);
      // undici counts a connection as free one turn after the answer's end, so a second may be made.
      expect(server.connectionCount).to.be.at.most(2);
    });

    it("makes 300 calls at once over 16 connections", async () => {
      await server.start({ authority });
      server.fallback = answer(200, SECRET_JSON);
      const client = connect(server.config());
      await Promise.all(Array.from({ length: 300 }, () => client.get(SECRET, KEY)));
      expect(server.received).to.have.length(300);
      expect(server.connectionCount).to.be.at.most(16);
    });

    it("keeps watches apart, so that twenty of them leave room for calls", async () => {
      await server.start({ authority });
      server.fallback = (request, response) => {
        if (!request.url.includes("watch=true")) {
          void answer(200, SECRET_JSON)(request, response);
          return;
        }
        response.writeHead(200);
        response.write(
          `${JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: "9" } } })}\n`,
        );
      };
      const client = connect(server.config());
      const watches = Array.from({ length: 20 }, () =>
        client.watch(SECRET, { resourceVersion: "1", timeoutSeconds: 60 })[Symbol.asyncIterator](),
      );
      await Promise.all(watches.map((watch) => watch.next()));
      expect((await client.get(SECRET, KEY)).metadata.name).to.equal("web");
      await Promise.all(watches.map(async (watch) => await watch.return?.()));
    });
  });

  describe("trust and credentials", () => {
    it("refuses a server that the configured authority has not certified", async () => {
      await server.start({ authority });
      const stranger = await createTestAuthority("stranger");
      const config = server.config();
      config.clusters = config.clusters.map((cluster) => ({
        ...cluster,
        caData: Buffer.from(stranger.caPem).toString("base64"),
      }));
      const error = await rejection(connect(config).get(SECRET, KEY, { timeoutMs: 500 }));
      expect(error.message).to.match(/SIGNATURE|CERT|ISSUER/);
      expect(server.received).to.deep.equal([]);
    });

    it("shows its client certificate", async () => {
      await server.start({ authority, clientCertificates: true });
      server.fallback = answer(200, SECRET_JSON);
      const { cert, key } = await authority.issueClient("operator");
      const client = connect(
        server.config({
          certData: Buffer.from(cert).toString("base64"),
          keyData: Buffer.from(key).toString("base64"),
        }),
      );
      await client.get(SECRET, KEY);
      expect(server.received[0]?.clientName).to.equal("operator");
    });

    it("sends a token, and a user name with password", async () => {
      await server.start({ authority });
      server.fallback = answer(200, SECRET_JSON);
      await connect(server.config({ token: "t0ken" })).get(SECRET, KEY);
      await connect(server.config({ username: "ann", password: "pass" })).get(SECRET, KEY);
      expect(server.received.map(({ headers }) => headers.authorization)).to.deep.equal([
        "Bearer t0ken",
        `Basic ${Buffer.from("ann:pass").toString("base64")}`,
      ]);
    });

    it("reads a token file again after a refusal, and trims it", async () => {
      const directory = await mkdtemp(join(tmpdir(), "token-"));
      const tokenFile = join(directory, "token");
      await writeFile(tokenFile, "first\n");
      await server.start({ authority });
      const client = connect(server.config({ authProvider: { name: "tokenFile", config: { tokenFile } } }));
      server.next(refuse(401, "Unauthorized"), answer(200, SECRET_JSON));
      expect((await rejection(client.get(SECRET, KEY))).reason).to.equal("Unauthorized");
      await writeFile(tokenFile, "second\n");
      await client.get(SECRET, KEY);
      await rm(directory, { recursive: true });
      expect(server.received.map(({ headers }) => headers.authorization)).to.deep.equal([
        "Bearer first",
        "Bearer second",
      ]);
    });

    it("asks an exec plugin for a token", async () => {
      await server.start({ authority });
      server.fallback = answer(200, SECRET_JSON);
      const credential = JSON.stringify({ status: { token: "from-plugin" } });
      const exec = { command: process.execPath, args: ["-e", `console.log(${JSON.stringify(credential)})`] };
      await connect(server.config({ exec })).get(SECRET, KEY);
      expect(server.received[0]?.headers.authorization).to.equal("Bearer from-plugin");
    });

    it("runs an exec plugin again at once when its token is refused, and repeats the call", async () => {
      await server.start({ authority });
      const directory = await mkdtemp(join(tmpdir(), "plugin-"));
      const runs = join(directory, "runs");
      const script = `
        const { appendFileSync, readFileSync } = require("node:fs");
        appendFileSync(${JSON.stringify(runs)}, "x");
        const token = "token-" + readFileSync(${JSON.stringify(runs)}, "utf8").length;
        console.log(JSON.stringify({ status: { token } }));`;
      const client = connect(server.config({ exec: { command: process.execPath, args: ["-e", script] } }));
      server.next(answer(200, SECRET_JSON), refuse(401, "Unauthorized"), answer(200, SECRET_JSON));
      await client.get(SECRET, KEY);
      await client.create(SECRET, SECRET_JSON);
      await rm(directory, { recursive: true });
      expect(server.received.map(({ headers }) => headers.authorization)).to.deep.equal([
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-2",
      ]);
    });

    it("repeats a refused call with a service account's new token at once", async () => {
      const directory = await mkdtemp(join(tmpdir(), "token-"));
      const tokenFile = join(directory, "token");
      await writeFile(tokenFile, "first");
      await server.start({ authority });
      const client = connect(server.config({ authProvider: { name: "tokenFile", config: { tokenFile } } }));
      server.next(answer(200, SECRET_JSON), refuse(401, "Unauthorized"), answer(200, SECRET_JSON));
      await client.get(SECRET, KEY);
      await writeFile(tokenFile, "second");
      await client.get(SECRET, KEY);
      await rm(directory, { recursive: true });
      expect(server.received.map(({ headers }) => headers.authorization)).to.deep.equal([
        "Bearer first",
        "Bearer first",
        "Bearer second",
      ]);
    });

    it("says so when the credentials cannot be read", async () => {
      await server.start({ authority });
      const provider = { name: "tokenFile", config: { tokenFile: "/does/not/exist" } };
      const error = await rejection(connect(server.config({ authProvider: provider })).get(SECRET, KEY));
      expect(error.reason).to.equal("CredentialsUnavailable");
      expect(error.message).to.contain("/does/not/exist");
    });

    it("never logs a token, nor puts it into an error", async () => {
      await server.start({ authority });
      server.next(reset, refuse(403, "Forbidden"));
      const error = await rejection(connect(server.config({ token: "t0ken" })).get(SECRET, KEY));
      const everything = inspect([error, logger.lines], { depth: Infinity, showHidden: true });
      expect(everything).not.to.contain("t0ken");
      expect(logger.lines).to.have.length(1);
    });

    it("refuses to send credentials in the clear", async () => {
      await server.start();
      const config = server.config();
      config.clusters = config.clusters.map((cluster) => ({ ...cluster, skipTLSVerify: false }));
      expect(() => connect(config)).to.throw("in the clear");
    });
  });

  describe("requests", () => {
    let client: KubeClient;

    beforeEach(async () => {
      await server.start();
      server.fallback = answer(200, SECRET_JSON);
      client = connect(server.config());
    });

    const sent = (): string => {
      const { method, url } = server.received.at(-1)!;
      return `${method} ${url}`;
    };

    it("addresses core and grouped, namespaced and cluster-scoped types", async () => {
      await client.get(SECRET, KEY);
      expect(sent()).to.equal("GET /api/v1/namespaces/apps/secrets/web");
      await client.get(LEASE, KEY);
      expect(sent()).to.equal("GET /apis/coordination.k8s.io/v1/namespaces/apps/leases/web");
      await client.get(NAMESPACE, { name: "apps" });
      expect(sent()).to.equal("GET /api/v1/namespaces/apps");
    });

    it("keeps the path prefix of a server behind a proxy", async () => {
      const config = server.config();
      config.clusters = config.clusters.map((cluster) => ({ ...cluster, server: `${server.url}/k8s/c-1` }));
      await connect(config).get(SECRET, KEY);
      expect(sent()).to.equal("GET /k8s/c-1/api/v1/namespaces/apps/secrets/web");
    });

    for (const name of ["", ".", "..", "a/b", "a%2Fb"]) {
      it(`sends nothing for the name ${JSON.stringify(name)}`, async () => {
        const thrown = await client.get(SECRET, { namespace: "apps", name }).catch((error: unknown) => error);
        expect(thrown).to.have.property("code", "InvalidName");
        expect(server.received).to.deep.equal([]);
      });
    }

    it("writes with type, field manager and user agent", async () => {
      await client.create(SECRET, { metadata: KEY });
      const { body, headers } = server.received.at(-1)!;
      expect(sent()).to.equal("POST /api/v1/namespaces/apps/secrets?fieldManager=satellites-test");
      expect(JSON.parse(body)).to.deep.equal({ apiVersion: "v1", kind: "Secret", metadata: KEY });
      expect(headers["user-agent"]).to.equal("satellites-test/1");
      expect(headers["content-type"]).to.equal("application/json");
    });

    it("replaces and patches, also the status, by the content type that each patch has", async () => {
      await client.replace(SECRET, SECRET_JSON, { fieldManager: "me" });
      expect(sent()).to.equal("PUT /api/v1/namespaces/apps/secrets/web?fieldManager=me");
      const operations = [{ op: "test", path: "/metadata/uid", value: "u" }] as const;
      await client.patch(SECRET, KEY, { type: "json", operations }, { subresource: "status" });
      expect(sent()).to.equal(
        "PATCH /api/v1/namespaces/apps/secrets/web/status?fieldManager=satellites-test",
      );
      expect(server.received.at(-1)?.headers["content-type"]).to.equal("application/json-patch+json");
      expect(JSON.parse(server.received.at(-1)!.body)).to.deep.equal(operations);
      await client.patch(SECRET, KEY, { type: "merge", body: { data: null } });
      expect(server.received.at(-1)?.headers["content-type"]).to.equal("application/merge-patch+json");
    });

    it("deletes under the condition of a UID", async () => {
      await client.delete(SECRET, KEY, { uid: "u-1" });
      expect(sent()).to.equal("DELETE /api/v1/namespaces/apps/secrets/web");
      expect(JSON.parse(server.received.at(-1)!.body)).to.deep.include({ preconditions: { uid: "u-1" } });
    });

    it("lists in pages and gives each item its type", async () => {
      server.next(
        answer(200, { metadata: { resourceVersion: "50", continue: "more" }, items: [{ metadata: KEY }] }),
        answer(200, { metadata: { resourceVersion: "50" }, items: null }),
      );
      const first = await client.list(SECRET, { namespace: "apps", labelSelector: "a=b,c", limit: 1 });
      expect(sent()).to.equal("GET /api/v1/namespaces/apps/secrets?labelSelector=a%3Db%2Cc&limit=1");
      expect(first).to.deep.equal({
        items: [{ apiVersion: "v1", kind: "Secret", metadata: KEY }],
        resourceVersion: "50",
        continue: "more",
      });
      const second = await client.list(SECRET, { continue: "more" });
      expect(second).to.deep.equal({ items: [], resourceVersion: "50" });
    });

    it("leaves out managedFields, which nobody reads, of whatever the server answers", async () => {
      const managedFields = [{ manager: "kubectl", fieldsV1: { "f:data": {} } }];
      const full = { ...SECRET_JSON, metadata: { ...SECRET_JSON.metadata, managedFields } };
      server.fallback = answer(200, full);
      expect(await client.get(SECRET, KEY)).to.deep.equal(SECRET_JSON);
      expect(await client.patch(SECRET, KEY, { type: "merge", body: {} })).to.deep.equal(SECRET_JSON);
      server.next(answer(200, { metadata: { resourceVersion: "50" }, items: [full] }));
      expect((await client.list(SECRET)).items).to.deep.equal([SECRET_JSON]);
      const event = `${JSON.stringify({ type: "MODIFIED", object: full })}\n`;
      server.next((_request, response) => void response.writeHead(200).end(event));
      const watching = client.watch(SECRET, { resourceVersion: "50", timeoutSeconds: 300 });
      const iterator = watching[Symbol.asyncIterator]();
      expect((await iterator.next()).value).to.deep.equal({ type: "MODIFIED", object: SECRET_JSON });
      await iterator.return?.();
    });
  });

  describe("refusals and failures", () => {
    it("turns a Status into a KubeError with reason, causes and the time to wait", async () => {
      await server.start();
      const causes = [{ reason: "FieldValueInvalid", message: "no", field: "spec.size" }];
      server.next(refuse(422, "Invalid", { details: { causes, retryAfterSeconds: 3 } }));
      const error = await rejection(connect(server.config()).create(SECRET, SECRET_JSON));
      expect(error).to.deep.include({ reason: "Invalid", status: 422, causes, retryAfterSeconds: 3 });
      expect(error.message).to.equal("POST /api/v1/namespaces/apps/secrets: Invalid by the test");
    });

    it("shows the beginning of an answer that is no Status", async () => {
      await server.start();
      server.next((_request, response) => void response.writeHead(502).end("<html>bad gateway"));
      const error = await rejection(connect(server.config()).get(SECRET, KEY));
      expect(error).to.deep.include({ reason: "InternalError", status: 502 });
      expect(error.message).to.contain("<html>bad gateway");
    });

    it("says that an answer which is not JSON comes from no API server", async () => {
      await server.start();
      server.next((_request, response) => void response.writeHead(200).end("hello"));
      expect((await rejection(connect(server.config()).get(SECRET, KEY))).reason).to.equal("Unreadable");
    });

    it("makes a read again when its connection breaks", async () => {
      await server.start({ authority });
      const waits: number[] = [];
      const client = connect(server.config(), { clock: hurriedClock(waits) });
      server.next(reset, reset, answer(200, SECRET_JSON));
      expect((await client.get(SECRET, KEY)).metadata.name).to.equal("web");
      expect(server.received).to.have.length(3);
      expect(waits.filter((delayMs) => delayMs > 0)).to.deep.equal([100, 200]);
    });

    it("gives a read up after five attempts", async () => {
      await server.start();
      server.fallback = reset;
      const error = await rejection(connect(server.config(), { clock: hurriedClock([]) }).get(SECRET, KEY));
      expect(error).to.deep.include({ reason: "Unreachable", status: 0 });
      expect(server.received).to.have.length(5);
    });

    it("reports a server that does not run as unreachable", async () => {
      await server.start();
      const client = connect(server.config(), { clock: hurriedClock([]) });
      await server.stop();
      const error = await rejection(client.get(SECRET, KEY));
      expect(error.reason).to.equal("Unreachable");
      expect(error.message).to.contain("ECONNREFUSED");
    });

    const writes: [string, (client: KubeClient) => Promise<unknown>][] = [
      ["create", (client) => client.create(SECRET, SECRET_JSON)],
      ["replace", (client) => client.replace(SECRET, SECRET_JSON)],
      ["patch", (client) => client.patch(SECRET, KEY, { type: "merge", body: {} })],
      ["delete", (client) => client.delete(SECRET, KEY)],
    ];
    for (const [name, write] of writes) {
      it(`never repeats a ${name} whose answer was lost`, async () => {
        await server.start();
        server.fallback = reset;
        const error = await rejection(write(connect(server.config(), { clock: hurriedClock([]) })));
        expect(error.reason).to.equal("Unreachable");
        expect(server.received).to.have.length(1);
      });

      it(`repeats a ${name} that was turned away with 429, after the time asked for`, async () => {
        await server.start();
        const waits: number[] = [];
        server.next(
          refuse(429, "TooManyRequests", { headers: { "retry-after": "2" } }),
          answer(200, SECRET_JSON),
        );
        await write(connect(server.config(), { clock: hurriedClock(waits) }));
        expect(server.received).to.have.length(2);
        expect(waits).to.include(2_000);
      });
    }

    it("passes 429 on when the time asked for is longer than the call may take", async () => {
      await server.start();
      server.fallback = refuse(429, "TooManyRequests", { headers: { "retry-after": "60" } });
      const error = await rejection(connect(server.config()).get(SECRET, KEY));
      expect(error).to.deep.include({ reason: "TooManyRequests", retryAfterSeconds: 60 });
      expect(server.received).to.have.length(1);
    });

    it("makes a read again after 503 only when the server names a time", async () => {
      await server.start();
      const client = connect(server.config(), { clock: hurriedClock([]) });
      server.next(
        refuse(503, "ServiceUnavailable", { headers: { "retry-after": "1" } }),
        answer(200, SECRET_JSON),
      );
      await client.get(SECRET, KEY);
      server.next(refuse(503, "ServiceUnavailable"));
      expect((await rejection(client.get(SECRET, KEY))).reason).to.equal("ServiceUnavailable");
      expect(server.received).to.have.length(3);
    });

    it("ends a call that takes too long with Timeout", async () => {
      await server.start();
      server.fallback = silence;
      const error = await rejection(connect(server.config()).get(SECRET, KEY, { timeoutMs: 50 }));
      expect(error).to.deep.include({ reason: "Timeout", status: 0 });
      expect(error.message).to.contain("50 ms");
    });

    it("ends a call with the caller's reason", async () => {
      await server.start();
      const controller = new AbortController();
      server.fallback = () => controller.abort(new Error("enough"));
      const call = connect(server.config()).get(SECRET, KEY, { signal: controller.signal });
      const thrown = await call.catch((error: unknown) => error);
      expect(thrown).to.be.instanceOf(Error).with.property("message", "enough");
    });

    it("counts requests by code, method and host", async () => {
      await server.start();
      server.next(reset, answer(200, SECRET_JSON), refuse(404, "NotFound"));
      const client = connect(server.config(), { clock: hurriedClock([]) });
      await client.get(SECRET, KEY);
      await rejection(client.get(SECRET, KEY));
      const { host } = new URL(server.url);
      const text = await registry.metrics();
      for (const code of ["<error>", "200", "404"]) {
        expect(text).to.contain(`rest_client_requests_total{code="${code}",method="GET",host="${host}"} 1`);
      }
      expect(text).to.contain(`rest_client_request_duration_seconds_count{verb="GET",host="${host}"} 3`);
    });
  });

  describe("watch", () => {
    const event = (type: string, resourceVersion: string): string =>
      `${JSON.stringify({ type, object: { metadata: { name: "wéb", resourceVersion } } })}\n`;

    const watch = (client: KubeClient, signal?: AbortSignal): AsyncIterable<WatchEvent<KubeObject>> =>
      client.watch(SECRET, {
        namespace: "apps",
        resourceVersion: "5",
        timeoutSeconds: 300,
        ...(signal === undefined ? {} : { signal }),
      });

    const collect = async (events: AsyncIterable<WatchEvent<KubeObject>>, into: string[]): Promise<void> => {
      for await (const { type, object } of events) {
        into.push(`${type} ${object.metadata.name} ${object.metadata.resourceVersion}`);
      }
    };

    const stream =
      (...chunks: (string | Uint8Array)[]): Responder =>
      async (_request, response) => {
        response.writeHead(200);
        for (const chunk of chunks) {
          await new Promise<void>((resolve) => {
            response.write(chunk, () => setImmediate(resolve));
          });
        }
        response.end();
      };

    it("asks for bookmarks and a time, and yields events however the bytes are cut", async () => {
      await server.start({ authority });
      const bytes = Buffer.from(event("ADDED", "6") + event("MODIFIED", "7") + event("BOOKMARK", "8"));
      const middle = bytes.indexOf("é") + 1;
      server.next(
        stream(bytes.subarray(0, middle), bytes.subarray(middle, middle + 60), bytes.subarray(middle + 60)),
      );
      const seen: string[] = [];
      await collect(watch(connect(server.config())), seen);
      expect(seen).to.deep.equal(["ADDED wéb 6", "MODIFIED wéb 7", "BOOKMARK wéb 8"]);
      expect(server.received[0]?.url).to.equal(
        "/api/v1/namespaces/apps/secrets?watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300",
      );
    });

    it("throws Expired for HTTP 410 and for an ERROR event alike", async () => {
      await server.start();
      const client = connect(server.config());
      server.next(refuse(410, "Expired"));
      expect((await rejection(collect(watch(client), []))).reason).to.equal("Expired");
      const status = { kind: "Status", code: 410, reason: "Expired", message: "too old resource version" };
      server.next(stream(event("ADDED", "6"), `${JSON.stringify({ type: "ERROR", object: status })}\n`));
      const seen: string[] = [];
      const error = await rejection(collect(watch(client), seen));
      expect(error).to.deep.include({ reason: "Expired", status: 410 });
      expect(seen).to.deep.equal(["ADDED wéb 6"]);
    });

    it("throws Unreachable when the connection breaks, also in the middle of a line", async () => {
      await server.start();
      const client = connect(server.config());
      server.next(async (request, response) => {
        response.writeHead(200);
        await new Promise<void>((resolve) => {
          response.write(event("ADDED", "6"), () => resolve());
        });
        await reset(request, response);
      });
      expect((await rejection(collect(watch(client), []))).reason).to.equal("Unreachable");
      server.next(stream(event("ADDED", "6").slice(0, 20)));
      expect((await rejection(collect(watch(client), []))).reason).to.equal("Unreachable");
    });

    it("closes its connection when the caller stops reading", async () => {
      await server.start();
      const closed = Promise.withResolvers<void>();
      server.next((_request, response) => {
        response.on("close", closed.resolve);
        response.writeHead(200);
        response.write(event("ADDED", "6") + event("ADDED", "7"));
      });
      for await (const { object } of watch(connect(server.config()))) {
        expect(object.metadata.resourceVersion).to.equal("6");
        break;
      }
      await closed.promise;
    });

    it("ends with the caller's reason, and closes its connection", async () => {
      await server.start();
      const controller = new AbortController();
      const closed = Promise.withResolvers<void>();
      server.next((_request, response) => {
        response.on("close", closed.resolve);
        response.writeHead(200);
        response.write(event("ADDED", "6"));
      });
      const seen: string[] = [];
      const events = (async (): Promise<void> => {
        for await (const { type } of watch(connect(server.config()), controller.signal)) {
          seen.push(type);
          controller.abort(new Error("enough"));
        }
      })();
      const thrown = await events.catch((error: unknown) => error);
      expect(thrown).to.be.instanceOf(Error).with.property("message", "enough");
      expect(seen).to.deep.equal(["ADDED"]);
      await closed.promise;
    });
  });
});
