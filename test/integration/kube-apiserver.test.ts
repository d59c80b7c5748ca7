import { expect } from "chai";
import { existsSync, readFileSync } from "node:fs";
import type { ApiAnswer } from "../support/api-client.ts";
import { installCrds } from "../support/crds.ts";
import { type KubeApiServer, startKubeApiServer } from "../support/kube-apiserver.ts";

const SATELLITES = "/apis/satellites.dev/v1alpha1/namespaces/default/satellites";
const LEASE = { seq: 1, validSeconds: 30, openStreams: 1, time: "2026-01-01T00:00:00Z" };

interface Satellite {
  readonly metadata: {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation: number;
  };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: Readonly<Record<string, unknown>>;
}

interface Status {
  readonly reason: string;
  readonly details?: {
    readonly name?: string;
    readonly causes?: readonly { reason: string; field: string }[];
  };
}

/** The facts about kube-apiserver that the power protocol stands on; docs/kubernetes-facts.md tells them. */
describe("kube-apiserver", function () {
  this.timeout(150_000);
  let server: KubeApiServer;
  let count = 0;
  let path: string;

  before(async () => {
    server = await startKubeApiServer();
    await installCrds(server.admin);
  });
  after(async () => server?.stop());
  beforeEach(async () => {
    count += 1;
    path = `${SATELLITES}/facts-${count}`;
    const answer = await server.admin.request("POST", SATELLITES, {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name: `facts-${count}` },
      spec: {},
    });
    expect(answer.status).to.equal(201);
  });

  const read = async (): Promise<Satellite> => (await server.admin.request("GET", path)).body as Satellite;

  /** Makes the server store the defaults, so that later writes of the same count as no change. */
  async function storeDefaults(): Promise<void> {
    await server.admin.jsonPatch(`${path}/status`, [{ op: "add", path: "/status/phase", value: "Pending" }]);
  }

  /** Expects what every JSON patch gets that cannot be applied: 422 that names neither object nor cause. */
  function expectNotApplicable(answer: ApiAnswer): void {
    expect(answer.status).to.equal(422);
    const { reason, details } = answer.body as Status;
    expect(reason).to.equal("Invalid");
    expect(details).to.deep.equal({});
  }

  describe("defaults of the schema", () => {
    it("fill the status of a new object, which a client cannot set at creation", async () => {
      const answer = await server.admin.request("POST", SATELLITES, {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "Satellite",
        metadata: { name: `facts-${count}-status` },
        spec: {},
        status: { phase: "Running", activity: { "router-0": LEASE } },
      });
      const { spec, status } = answer.body as Satellite;
      expect(status).to.deep.equal({
        activity: {},
        observedGeneration: -1,
        power: { accepted: false, epoch: 0, fence: 0, state: "Off" },
      });
      expect(spec["desiredPower"]).to.equal("on");
    });

    it("are stored by the first write after creation, which moves the version even if it changes nothing", async () => {
      const before = await read();
      const first = await server.admin.jsonPatch(`${path}/status`, []);
      const second = await server.admin.jsonPatch(`${path}/status`, []);
      expect((first.body as Satellite).status).to.deep.equal(before.status);
      expect((first.body as Satellite).metadata.resourceVersion).to.not.equal(
        before.metadata.resourceVersion,
      );
      expect(second.body).to.deep.equal(first.body);
    });

    it("come back when a patch removes the field, and that is no change", async () => {
      await storeDefaults();
      const before = await read();
      const answer = await server.admin.jsonPatch(`${path}/status`, [
        { op: "remove", path: "/status/power" },
      ]);
      expect(answer.status).to.equal(200);
      expect((answer.body as Satellite).status["power"]).to.deep.equal(before.status["power"]);
      expect((answer.body as Satellite).metadata.resourceVersion).to.equal(before.metadata.resourceVersion);
    });

    it("turn desiredPower on again in a PUT that leaves it out", async () => {
      await server.admin.jsonPatch(path, [{ op: "replace", path: "/spec/desiredPower", value: "off" }]);
      const { metadata } = await read();
      const answer = await server.admin.request("PUT", path, {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "Satellite",
        metadata,
        spec: {},
      });
      expect(answer.status).to.equal(200);
      expect((answer.body as Satellite).spec["desiredPower"]).to.equal("on");
    });
  });

  describe("a JSON patch through the status subresource", () => {
    it("tests metadata, spec and status, and writes status", async () => {
      const { metadata } = await read();
      const answer = await server.admin.jsonPatch(`${path}/status`, [
        { op: "test", path: "/metadata/uid", value: metadata.uid },
        { op: "test", path: "/spec/desiredPower", value: "on" },
        { op: "test", path: "/status/power/state", value: "Off" },
        { op: "test", path: "/status/power/epoch", value: 0 },
        { op: "add", path: "/status/activity/router-0", value: LEASE },
      ]);
      expect(answer.status).to.equal(200);
      expect((answer.body as Satellite).status["activity"]).to.deep.equal({ "router-0": LEASE });
      expect((answer.body as Satellite).metadata.generation).to.equal(metadata.generation);
    });

    const failing: Record<string, object> = {
      "a failed test on spec": { op: "test", path: "/spec/desiredPower", value: "off" },
      "a failed test on status": { op: "test", path: "/status/power/epoch", value: 7 },
      "a failed test on the UID": { op: "test", path: "/metadata/uid", value: "other" },
      "a test of a path that is not there": { op: "test", path: "/status/machine/id", value: "i-1" },
      "an add below a missing parent": { op: "add", path: "/status/machine/id", value: "i-1" },
      "a remove of what is not there": { op: "remove", path: "/status/machine" },
      "an unknown operation": { op: "renew", path: "/status/phase", value: "Running" },
    };
    for (const [what, operation] of Object.entries(failing)) {
      it(`answers 422 without details to ${what}, and changes nothing`, async () => {
        const before = await read();
        const answer = await server.admin.jsonPatch(`${path}/status`, [
          { op: "add", path: "/status/activity/router-0", value: LEASE },
          operation,
        ]);
        expectNotApplicable(answer);
        expect(await read()).to.deep.equal(before);
      });
    }

    it("compares numbers as they are written: 1.0 is not 1", async () => {
      const answer = await server.admin.request(
        "PATCH",
        `${path}/status`,
        '[{"op":"test","path":"/status/power/epoch","value":0.0}]',
        { contentType: "application/json-patch+json" },
      );
      expectNotApplicable(answer);
    });

    it("finds that an absent field equals null", async () => {
      const answer = await server.admin.jsonPatch(`${path}/status`, [
        { op: "test", path: "/status/machine", value: null },
      ]);
      expect(answer.status).to.equal(200);
    });

    it("lets replace add a field whose parent is there, against RFC 6902", async () => {
      const answer = await server.admin.jsonPatch(`${path}/status`, [
        { op: "replace", path: "/status/phase", value: "Running" },
      ]);
      expect(answer.status).to.equal(200);
      expect((answer.body as Satellite).status["phase"]).to.equal("Running");
    });

    it("drops what it would write to spec", async () => {
      await storeDefaults();
      const before = await read();
      const answer = await server.admin.jsonPatch(`${path}/status`, [
        { op: "replace", path: "/spec/desiredPower", value: "off" },
      ]);
      expect(answer.status).to.equal(200);
      expect(answer.body).to.deep.equal(before);
    });

    it("moves no version when it writes what is there already", async () => {
      const lease = [{ op: "add", path: "/status/activity/router-0", value: LEASE }];
      const first = await server.admin.jsonPatch(`${path}/status`, lease);
      const second = await server.admin.jsonPatch(`${path}/status`, lease);
      expect(second.body).to.deep.equal(first.body);
    });

    it("names object, cause and field when the result breaks the schema, unlike a failed test", async () => {
      const answer = await server.admin.jsonPatch(`${path}/status`, [
        { op: "replace", path: "/status/phase", value: "Dancing" },
      ]);
      expect(answer.status).to.equal(422);
      const { reason, details } = answer.body as Status;
      expect(reason).to.equal("Invalid");
      expect(details?.name).to.equal(`facts-${count}`);
      expect(details?.causes?.[0]).to.include({ reason: "FieldValueNotSupported", field: "status.phase" });
    });
  });

  describe("a JSON patch through the main resource", () => {
    it("tests status and writes spec, and counts the generation up", async () => {
      const before = await read();
      const answer = await server.admin.jsonPatch(path, [
        { op: "test", path: "/status/activity", value: {} },
        { op: "test", path: "/spec/idleTimeout", value: "30m" },
        { op: "replace", path: "/spec/desiredPower", value: "off" },
      ]);
      expect(answer.status).to.equal(200);
      expect((answer.body as Satellite).spec["desiredPower"]).to.equal("off");
      expect((answer.body as Satellite).metadata.generation).to.equal(before.metadata.generation + 1);
    });

    it("answers 422 without details when its test of status fails", async () => {
      await server.admin.jsonPatch(`${path}/status`, [
        { op: "add", path: "/status/activity/router-0", value: LEASE },
      ]);
      const answer = await server.admin.jsonPatch(path, [
        { op: "test", path: "/status/activity", value: {} },
        { op: "replace", path: "/spec/desiredPower", value: "off" },
      ]);
      expectNotApplicable(answer);
      expect((await read()).spec["desiredPower"]).to.equal("on");
    });

    it("drops what it would write to status", async () => {
      await storeDefaults();
      const before = await read();
      const answer = await server.admin.jsonPatch(path, [
        { op: "add", path: "/status/activity/router-0", value: LEASE },
      ]);
      expect(answer.status).to.equal(200);
      expect(answer.body).to.deep.equal(before);
    });

    it("is refused a change of class once the launch is written, by the rule on the old status", async () => {
      const change = [{ op: "replace", path: "/spec/className", value: "other" }];
      expect((await server.admin.jsonPatch(path, change)).status).to.equal(200);
      await server.admin.jsonPatch(`${path}/status`, [
        { op: "add", path: "/status/launch", value: { attempt: 0, token: "t" } },
      ]);
      const answer = await server.admin.jsonPatch(path, [
        { op: "replace", path: "/spec/className", value: "third" },
      ]);
      expect(answer.status).to.equal(422);
      expect((answer.body as Status).details?.causes).to.have.length(1);
      expect((answer.body as Status).details?.causes?.[0]).to.include({
        reason: "FieldValueForbidden",
        field: "spec.className",
      });
    });
  });

  it("answers 404 to a patch of what does not exist", async () => {
    const answer = await server.admin.jsonPatch(`${SATELLITES}/none/status`, []);
    expect(answer.status).to.equal(404);
    expect((answer.body as Status).reason).to.equal("NotFound");
  });

  it("refuses a bare on or off, which YAML 1.1 makes a boolean, and says which strings it takes", async () => {
    const answer = await server.admin.mergePatch(path, { spec: { desiredPower: true } });
    expect(answer.status).to.equal(422);
    const causes = (answer.body as Status).details?.causes ?? [];
    expect(causes.map(({ reason, field }) => `${field} ${reason}`)).to.deep.equal([
      "spec.desiredPower FieldValueTypeInvalid",
      "spec.desiredPower FieldValueNotSupported",
      "<nil> FieldValueInvalid",
    ]);
    expect(JSON.stringify(answer.body)).to.include('supported values: \\"on\\", \\"off\\"');
  });

  it("tells a watch that asks for too old a version so by an event with code 410, not by the HTTP status", async () => {
    const watch = await server.admin.watch(`${SATELLITES}?watch=1&resourceVersion=1`);
    expect(watch.status).to.equal(200);
    const event = await watch.next();
    await watch.close();
    expect(event?.type).to.equal("ERROR");
    expect(event?.object).to.include({ code: 410, reason: "Expired" });
  });

  it("keeps its objects through a restart, but answers 410 to watches from before it", async () => {
    const before = await read();
    await server.restart();
    expect(await read()).to.deep.equal(before);
    const watch = await server.admin.watch(
      `${SATELLITES}?watch=1&resourceVersion=${before.metadata.resourceVersion}`,
    );
    const event = await watch.next();
    await watch.close();
    expect(event?.type).to.equal("ERROR");
    expect(event?.object).to.include({ code: 410, reason: "Expired" });
  });

  it("lets a service account do only what RBAC grants, and says who did what in its audit log", async () => {
    const token = await server.createServiceAccountToken("default", "facts");
    const client = server.clientWithToken(token);
    const refused = await client.request("GET", path);
    expect(refused.status).to.equal(403);
    const review = await client.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
      apiVersion: "authentication.k8s.io/v1",
      kind: "SelfSubjectReview",
    });
    expect(review.body).to.have.nested.property(
      "status.userInfo.username",
      "system:serviceaccount:default:facts",
    );
    const entries = readFileSync(server.auditLog, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { user: { username: string }; verb: string; requestURI: string });
    expect(entries.map(({ user, verb, requestURI }) => `${user.username} ${verb} ${requestURI}`)).to.include(
      `system:serviceaccount:default:facts get ${path}`,
    );
    await client.close();
  });

  it("leaves nothing behind", async () => {
    const other = await startKubeApiServer();
    await other.stop();
    expect(other.process.isRunning()).to.equal(false);
    expect(existsSync(other.adminKubeconfig)).to.equal(false);
  });
});
