import { credentials } from "@grpc/grpc-js";
import { expect } from "chai";
import type { GuestClient } from "../../src/guest/client.ts";
import { eventually } from "../support/eventually.ts";
import { createTestAuthority, type TestAuthority } from "../support/pki.ts";
import { runInPod } from "./client-pod.ts";
import { FewestReady } from "./fewest-ready.ts";
import { CALLER, Cluster, SYSTEM, TEAM } from "./cluster.ts";
import type { LoadReport } from "./load.ts";
import { chartVersion, REPOSITORY } from "./images.ts";
import { FIRST_NODE, SECOND_NODE } from "./node/place.ts";
import type { Pod } from "./pod.ts";

const RELEASE = "sat";
const SERVICE = "sat-satellites-router";
const NAME = `${SERVICE}.${SYSTEM}.svc`;
const AUDIENCE = "satellites.dev";
const VALUES = {
  router: {
    mode: "deployment",
    access: { mode: "kubernetes" },
    tls: { secretName: "router-tls" },
  },
};
/** A command that is under way when pods are replaced: its VM sends a PING meanwhile, every 30 s. */
const LONG = "sleep 40; echo whole";
/** gRPC's codes of what is refused (grpc/grpc, doc/statuscodes.md). */
const [PERMISSION_DENIED, UNAUTHENTICATED, UNAVAILABLE] = [7, 16, 14];

/** Routers of their own behind a Service, for callers who say by token and TLS who they are. */
describe("an installation in deployment mode", function () {
  this.timeout(300_000);
  this.bail(true);
  let cluster: Cluster;
  let authority: TestAuthority;
  /** Where the Service is. */
  let address: string;
  let token: string;

  before(async () => {
    cluster = await Cluster.start();
    authority = await createTestAuthority("routers");
    const { cert, key } = await authority.issueServer([NAME]);
    await cluster.create(`/api/v1/namespaces/${SYSTEM}/secrets`, {
      metadata: { name: "router-tls" },
      type: "kubernetes.io/tls",
      stringData: { "tls.crt": cert, "tls.key": key },
    });
    await cluster.createCallers();
    token = await tokenOf(CALLER);
  });
  after(() => cluster?.stop());

  const tokenOf = (account: string, audience = AUDIENCE): Promise<string> =>
    cluster.server.createServiceAccountToken(TEAM, account, { audiences: [audience] });

  const connect = (satellite: string, as?: string): GuestClient =>
    cluster.connect(address, satellite, {
      credentials: credentials.createSsl(Buffer.from(authority.caPem)),
      serverName: NAME,
      ...(as === undefined ? {} : { token: as }),
    });

  const refusal = (guest: GuestClient): Promise<unknown> =>
    guest.describe(30_000).then(
      () => "no refusal",
      (error: unknown) => Reflect.get(error as object, "code"),
    );

  const underLoad = (what: string, act: () => Promise<unknown>): Promise<LoadReport> =>
    cluster.underLoad(what, () => connect("ada", token), act);

  it("is installed, with the router's certificate and pods of its own", async () => {
    await cluster.apply(RELEASE, VALUES);
    await cluster.untilReady("operator", 2);
    await cluster.untilReady("router", 2);
    await cluster.createClass();
    await cluster.createSatellite("ada");
    address = await cluster.serviceAddress(SERVICE);
  });

  it("serves a client in a pod, with the token that the kubelet gives it", async () => {
    await cluster.create(`/api/v1/namespaces/${TEAM}/configmaps`, {
      metadata: { name: "routers" },
      data: { "ca.crt": authority.caPem },
    });
    const projected = [
      { serviceAccountToken: { path: "token", audience: AUDIENCE } },
      { configMap: { name: "routers" } },
    ];
    const flags = [`--router=${NAME}:8372`, "--ca=/access/ca.crt", "--token-file=/access/token"];
    const answer = await runInPod(cluster, [...flags, "ada", "--", "echo", "from a pod"], {
      serviceAccountName: CALLER,
      access: { projected: { sources: projected } },
    });
    expect(answer).to.deep.equal({ phase: "Succeeded", output: "from a pod\n" });
  });

  it("serves the right token from outside, and tells others what they lack", async () => {
    await connect("ada", token).describe(30_000);
    expect(await refusal(connect("ada"))).to.equal(UNAUTHENTICATED);
    expect(await refusal(connect("ada", "no token"))).to.equal(UNAUTHENTICATED);
    expect(await refusal(connect("ada", await tokenOf(CALLER, "somebody-else")))).to.equal(UNAUTHENTICATED);
    expect(await refusal(connect("ada", await tokenOf("stranger")))).to.equal(PERMISSION_DENIED);
    const inCleartext = cluster.connect(address, "ada", { token });
    expect(await refusal(inCleartext)).to.equal(UNAVAILABLE);
  });

  it("loses no call and no stream during a rolling restart of the routers", async () => {
    const stream = connect("ada", token).run("sh", { args: ["-c", LONG] });
    const report = await underLoad("rolling restart", async () => {
      await cluster.kubectl("rollout", "restart", "--namespace", SYSTEM, `deployment/${SERVICE}`);
      const status = ["rollout", "status", "--namespace", SYSTEM, `deployment/${SERVICE}`, "--timeout=120s"];
      const { code, stderr } = await cluster.kubectl(...status);
      expect(code, stderr).to.equal(0);
    });
    expect(report.failures).to.deep.equal([]);
    expect((await stream).stdout.toString()).to.equal("whole\n");
  });

  it("loses no call and no stream during helm upgrade to another image", async () => {
    cluster.tagImage(chartVersion(), "next");
    const stream = connect("ada", token).run("sh", { args: ["-c", LONG] });
    const report = await underLoad("helm upgrade", () =>
      cluster.apply(RELEASE, { ...VALUES, image: { repository: REPOSITORY, tag: "next" } }),
    );
    expect(report.failures).to.deep.equal([]);
    expect((await stream).stdout.toString()).to.equal("whole\n");
    await cluster.untilReady("operator", 2);
    await cluster.untilReady("router", 2);
  });

  it("loses no call and no stream when a router is evicted, and never more than one at a time", async () => {
    const [first, second] = await cluster.untilReady("router", 2);
    const evict = async (pod: Pod | undefined): Promise<number> => {
      const name = pod?.metadata.name ?? "";
      const { status } = await cluster.admin.request(
        "POST",
        `/api/v1/namespaces/${SYSTEM}/pods/${name}/eviction`,
        { apiVersion: "policy/v1", kind: "Eviction", metadata: { name } },
      );
      return status;
    };
    // Each has a connection of its own, so that hardly all are at the other router.
    const streams = Array.from({ length: 6 }, () => connect("ada", token).run("sh", { args: ["-c", LONG] }));
    const report = await underLoad("eviction", async () => {
      expect(await evict(first)).to.equal(201);
      expect(await evict(second)).to.equal(429);
      await cluster.untilReady("router", 2);
    });
    expect(report.failures).to.deep.equal([]);
    for (const { stdout } of await Promise.all(streams)) {
      expect(stdout.toString()).to.equal("whole\n");
    }
  });

  for (const { name } of [SECOND_NODE, FIRST_NODE]) {
    it(`loses no call and no stream when ${name} is drained: the budget lets one pod go at a time`, async () => {
      const stream = connect("ada", token).run("sh", { args: ["-c", LONG] });
      const fewest = new FewestReady(cluster, "router");
      const report = await underLoad(`drain of ${name}`, async () => {
        const args = ["drain", name, "--ignore-daemonsets", "--timeout=240s"];
        const { code, stderr } = await cluster.kubectl(...args);
        expect(code, stderr).to.equal(0);
        if (name === FIRST_NODE.name) {
          // All pods are there since the other node was drained.
          expect(stderr).to.include("would violate the pod's disruption budget");
        }
        for (const component of ["operator", "router"] as const) {
          const pods = await cluster.untilReady(component, 2);
          expect(pods.map(({ spec }) => spec.nodeName)).to.not.include(name);
        }
      });
      expect(report.failures).to.deep.equal([]);
      expect((await stream).stdout.toString()).to.equal("whole\n");
      expect(await fewest.stop()).to.be.at.least(1);
      const { code, stderr } = await cluster.kubectl("uncordon", name);
      expect(code, stderr).to.equal(0);
      await cluster.sleep("ada");
      await connect("ada", token).describe(60_000);
    });
  }

  it("tells callers of a router that is out of memory UNAVAILABLE, and serves them again", async () => {
    const [pod] = await cluster.untilReady("router", 2);
    const name = pod?.metadata.name ?? "";
    const report = await underLoad("a router out of memory", async () => {
      if (pod !== undefined) {
        cluster.holdMemory(pod, "router");
      }
      // Another program in the container, smaller than the router: the kernel ends the largest.
      const script = "const bytes = Buffer.alloc(32 << 20, 1); setTimeout(() => {}, 5000)";
      await cluster.kubectl("exec", "--namespace", SYSTEM, name, "--", "node", "--eval", script);
      await eventually("the kubelet started it again", async () => {
        const found = (await cluster.pods("router")).find(({ metadata }) => metadata.name === name);
        const [status] = found?.status.containerStatuses ?? [];
        return status?.restartCount === 1 && status.lastState.terminated?.reason === "OOMKilled";
      });
      await cluster.untilReady("router", 2);
    });
    // Calls under way, and those that gRPC's clients fail until they connect again: they wait for no connection unless told to.
    expect(report.failures.filter((failure) => !failure.includes("UNAVAILABLE"))).to.deep.equal([]);
    expect((await underLoad("after that", async () => {})).failures).to.deep.equal([]);
  });

  it("leaves no machine when its satellites are deleted", async () => {
    await cluster.deleteSatellites("ada");
    expect(await cluster.machines()).to.deep.equal([]);
    await cluster.deleteClasses();
    const { code, stderr } = await cluster.helm(["uninstall", RELEASE, "--wait"]);
    expect(code, stderr).to.equal(0);
  });
});
