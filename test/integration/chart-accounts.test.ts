import { Metadata, status } from "@grpc/grpc-js";
import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { LOCAL_REGION } from "../../src/commands/local-ec2.ts";
import { connectGuest, type GuestClient } from "../../src/guest/client.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import type { ApiAnswer } from "../support/api-client.ts";
import { ChartRelease, RELEASE, RELEASE_NAMESPACE, type RunningPod } from "../support/chart-release.ts";
import { eventually } from "../support/eventually.ts";
import { manifestsOf } from "../support/helm.ts";
import { freePort, isReady } from "../support/process.ts";
import {
  auditedRequests,
  type AuditedRequest,
  compareRights,
  grantedRights,
  type Right,
} from "../support/rights.ts";
import { startVirtualAccount, type VirtualAccount } from "../support/virtual-account.ts";

interface TestPod {
  readonly spec: { readonly containers: readonly { readonly command: readonly string[] }[] };
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** "patch satellites.dev/satellites" of a request's description, which also names its object. */
const firstTwoWords = (text: string): string => text.split(" ").slice(0, 2).join(" ");

const CLASSES = "/apis/satellites.dev/v1alpha1/satelliteclasses";
const SATELLITES = "/apis/satellites.dev/v1alpha1/namespaces/team-a/satellites";
const NETWORK = { tags: { "satellites.dev/network": "local" } };
/** One that has just been renewed: the operator prunes those that ended long ago. */
const LEASE = { seq: 1, validSeconds: 30, openStreams: 0, time: new Date().toISOString() };

/** A class whose machines come from `image`. */
function satelliteClass(name: string, image: object, guest: object): object {
  return {
    apiVersion: "satellites.dev/v1alpha1",
    kind: "SatelliteClass",
    metadata: { name },
    spec: {
      allowedNamespaces: { selector: { matchLabels: { team: "a" } } },
      ec2: {
        region: LOCAL_REGION,
        image,
        subnets: NETWORK,
        securityGroups: NETWORK,
        rootVolume: { sizeGiB: 4 },
      },
      sizes: { small: { types: ["t3.small"] } },
      defaultSize: "small",
      guest,
    },
  };
}

/**
 * Operator and router with the arguments, accounts, roles and policies of the chart, against kube-apiserver and
 * an EC2 endpoint: what they may do is what they do.
 */
describe("the chart's accounts on kube-apiserver", function () {
  this.timeout(240_000);
  let release: ChartRelease;
  let account: VirtualAccount;
  let values: Record<string, unknown>;
  let routerPort: number;
  /** Of an account that may use Satellites of team-a. */
  let token: string;
  const guests: GuestClient[] = [];

  before(async () => {
    account = await startVirtualAccount();
    release = await ChartRelease.start();
    routerPort = await freePort();
    values = {
      listenHost: "127.0.0.1",
      operator: { ec2Endpoint: account.url, healthPort: await freePort(), leaseSeconds: 6 },
      router: {
        mode: "deployment",
        access: { mode: "kubernetes", insecureCleartext: true },
        port: routerPort,
        healthPort: await freePort(),
        graceSeconds: 0,
      },
    };
    await release.apply(values);
    await release.created("/api/v1/namespaces", { metadata: { name: "team-a", labels: { team: "a" } } });
    token = await makeCaller();
    await release.created(`/api/v1/namespaces/${RELEASE_NAMESPACE}/secrets`, {
      metadata: { name: "guest" },
      stringData: { userData: "#!/bin/sh\n" },
    });
    const parameter = { ssmParameter: "/satellites/images/{architecture}" };
    const custom = { kind: "custom", tls: "Off", userDataSecretRef: { name: "guest" } };
    await eventually("classes are served", async () => (await get(CLASSES)).status === 200);
    await release.created(CLASSES, satelliteClass("default", parameter, { kind: "image", tls: "Off" }));
    await release.created(CLASSES, satelliteClass("custom", { nameFilter: "satellites-*" }, custom));
  });
  after(async () => {
    for (const guest of guests) {
      guest.close();
    }
    await release?.stop();
    await account?.stop();
  });

  /** An account with the right that the chart's README tells to give. */
  async function makeCaller(): Promise<string> {
    const roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/team-a";
    await release.created(`${roles}/roles`, {
      metadata: { name: "satellites-user" },
      rules: [{ apiGroups: ["satellites.dev"], resources: ["satellites/connect"], verbs: ["create"] }],
    });
    await release.created(`${roles}/rolebindings`, {
      metadata: { name: "satellites-user" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "satellites-user" },
      subjects: [{ kind: "ServiceAccount", name: "ci", namespace: "team-a" }],
    });
    return release.server.createServiceAccountToken("team-a", "ci", { audiences: ["satellites.dev"] });
  }

  const get = (path: string): Promise<ApiAnswer> => release.admin.request("GET", path);

  const read = async (name: string): Promise<Satellite> => {
    const { status: code, body } = await get(`${SATELLITES}/${name}`);
    expect(code, JSON.stringify(body)).to.equal(200);
    return body as Satellite;
  };

  const create = (name: string, spec: object): Promise<ApiAnswer> =>
    release.created(SATELLITES, {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name },
      spec: { sleepMode: "Stop", ...spec },
    });

  async function untilPhase(name: string, phase: string): Promise<Satellite> {
    let last: unknown;
    return eventually(`${name} is ${phase}`, async () => {
      const satellite = await read(name);
      last = satellite.status;
      return satellite.status.phase === phase && satellite;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; its status is ${JSON.stringify(last)}`, { cause: error });
    });
  }

  function connect(name: string, authorization: string | undefined = `Bearer ${token}`): GuestClient {
    const metadata = new Metadata();
    metadata.set("satellite-name", name);
    metadata.set("satellite-namespace", "team-a");
    if (authorization !== undefined) {
      metadata.set("authorization", authorization);
    }
    const guest = connectGuest(`127.0.0.1:${routerPort}`, { metadata });
    guests.push(guest);
    return guest;
  }

  /** Status with which a call fails. */
  const failure = (guest: GuestClient, deadlineMs = 30_000): Promise<unknown> =>
    guest.describe(deadlineMs).then(
      () => "no failure",
      (error: unknown) => Reflect.get(error as object, "code"),
    );

  /** A program's ClusterRole about satellites.dev, whose rules can be changed in the cluster one at a time. */
  async function clusterRole(program: string): Promise<{
    readonly rules: readonly Rule[];
    /** Gives the rule of that number other verbs, and all other rules their own. */
    change(index: number, verbs: (before: readonly string[]) => readonly string[]): Promise<void>;
  }> {
    const path = `/apis/rbac.authorization.k8s.io/v1/clusterroles/sat-system-sat-satellites-${program}`;
    const { rules } = (await get(path)).body as { rules: Rule[] };
    return {
      rules,
      async change(index, verbs) {
        const changed = rules
          .map((rule, at) => (at === index ? { ...rule, verbs: verbs(rule.verbs) } : rule))
          .filter((rule) => rule.verbs.length > 0);
        const answer = await release.admin.mergePatch(path, { rules: changed });
        expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
      },
    };
  }

  const untilReady = (port: unknown): Promise<true> =>
    eventually("the program is ready", async () => (await isReady(Number(port))) || undefined);

  async function startPods(): Promise<{ operator: RunningPod; router: RunningPod }> {
    const operator = await release.startPod("sat-satellites", "operator-0");
    const router = await release.startPod("sat-satellites-router", "router-0");
    await untilReady(Reflect.get(values["operator"] as object, "healthPort"));
    await untilReady(Reflect.get(values["router"] as object, "healthPort"));
    return { operator, router };
  }

  describe("with the router in a Deployment of its own", () => {
    let pods: { operator: RunningPod; router: RunningPod };

    before(async () => {
      pods = await startPods();
    });
    after(async () => {
      for (const program of [
        ...(pods?.operator.programs.values() ?? []),
        ...(pods?.router.programs.values() ?? []),
      ]) {
        await program.stop("SIGTERM");
      }
    });

    it("bring a Satellite to Running and a request to its VM", async () => {
      await create("ada", { idleTimeout: "5s" });
      await untilPhase("ada", "Running");
      const { bootId } = await connect("ada").describe(30_000);
      expect(bootId).to.not.equal("");
      expect(Object.keys((await read("ada")).status.activity)).to.deep.equal(["router-0"]);
    });

    it("put it to sleep and wake it by a request, twice", async () => {
      for (const epoch of [2, 3]) {
        await untilPhase("ada", "Asleep");
        await connect("ada").describe(60_000);
        expect((await read("ada")).status.power.epoch).to.equal(epoch);
      }
    });

    it("give up a launch whose Satellite was switched off while EC2 was asked", async () => {
      const images = account.hold("DescribeImages");
      await create("bea", { className: "custom" });
      await images.arrived;
      await release.admin.mergePatch(`${SATELLITES}/bea`, { spec: { desiredPower: "off" } });
      images.release();
      await untilPhase("bea", "Asleep");
      expect((await read("bea")).status.machine).to.equal(undefined);
      await release.admin.mergePatch(`${SATELLITES}/bea`, { spec: { desiredPower: "on" } });
      await untilPhase("bea", "Running");
    });

    it("answer for a Satellite that there is not", async () => {
      expect(await failure(connect("nobody"))).to.equal(status.NOT_FOUND);
    });

    it("let nobody in whom the API server does not know", async () => {
      expect(await failure(connect("ada", "Bearer made-up"))).to.equal(status.UNAUTHENTICATED);
    });

    it("delete without a trace", async () => {
      for (const name of ["ada", "bea"]) {
        await release.admin.request("DELETE", `${SATELLITES}/${name}`);
        await eventually(`${name} is gone`, async () => (await get(`${SATELLITES}/${name}`)).status === 404);
      }
    });

    for (const { program, name } of [
      { program: "operator", name: "sat-satellites" },
      { program: "router", name: "sat-satellites-router" },
    ]) {
      describe(`the rights of the ${program}`, () => {
        let granted: Right[];
        let requests: AuditedRequest[];

        before(async () => {
          granted = await grantedRights(release.admin, { namespace: RELEASE_NAMESPACE, name });
          const user = `system:serviceaccount:${RELEASE_NAMESPACE}:${name}`;
          requests = auditedRequests(release.server.auditLog, user);
        });

        it("are all used, and nothing is asked for beyond them", () => {
          expect(granted.length).to.be.greaterThan(4);
          expect(compareRights(granted, requests)).to.deep.equal({ unused: [], missing: [] });
        });

        it("were never refused", () => {
          expect(requests.filter(({ code }) => code === 403)).to.deep.equal([]);
        });

        it("are each needed: without any one of them something is missing", () => {
          for (const right of granted) {
            const { missing } = compareRights(
              granted.filter((each) => each !== right),
              requests,
            );
            expect(missing, JSON.stringify(right)).to.not.have.length(0);
          }
        });

        it("would show one too many", () => {
          for (const verb of ["create", "delete", "deletecollection", "update"]) {
            const more = { verb, resource: "satellites.dev/satellites" };
            expect(compareRights([...granted, more], requests).unused).to.deep.equal([
              `${verb} satellites.dev/satellites`,
            ]);
          }
        });

        it("are found to be wrong when the cluster's role has one verb less, or one more", async () => {
          const role = await clusterRole(program);
          const compare = async (): Promise<ReturnType<typeof compareRights>> =>
            compareRights(
              await grantedRights(release.admin, { namespace: RELEASE_NAMESPACE, name }),
              requests,
            );
          for (const [index, { apiGroups, resources, verbs }] of role.rules.entries()) {
            const what = `${apiGroups.join("")}/${resources.join("")}`;
            for (const verb of verbs) {
              await role.change(index, (before) => before.filter((each) => each !== verb));
              const { unused, missing } = await compare();
              expect(unused, `without ${verb} ${what}`).to.deep.equal([]);
              expect(missing.map(firstTwoWords)).to.include(`${verb} ${what}`);
            }
            await role.change(index, (before) => [...before, "deletecollection"]);
            expect(await compare()).to.deep.equal({ unused: [`deletecollection ${what}`], missing: [] });
            await role.change(index, (before) => before);
          }
          expect(await compare()).to.deep.equal({ unused: [], missing: [] });
        });
      });
    }

    describe("when a right is taken from them", () => {
      it("are refused, which the audit shows, until they have it again", async () => {
        await create("denied", { desiredPower: "off" });
        await untilPhase("denied", "Asleep");
        const wake = { spec: { desiredPower: "on" } };
        const role = await clusterRole("router");
        await role.change(0, (before) => before.filter((verb) => verb !== "patch"));
        await eventually("the role is in force", async () => {
          const path = `${SATELLITES}/denied?dryRun=All`;
          return (await pods.router.client.mergePatch(path, wake)).status === 403;
        });
        expect(await failure(connect("denied"), 5000)).to.be.oneOf([
          status.UNAVAILABLE,
          status.DEADLINE_EXCEEDED,
        ]);
        const user = `system:serviceaccount:${RELEASE_NAMESPACE}:sat-satellites-router`;
        const refused = auditedRequests(release.server.auditLog, user).filter(({ code }) => code === 403);
        expect(refused.map(({ verb, resource }) => `${verb} ${resource}`)).to.include(
          "patch satellites.dev/satellites",
        );
        expect((await read("denied")).status.phase).to.equal("Asleep");
        await role.change(0, (before) => before);
        await connect("denied").describe(60_000);
      });
    });

    describe("the admission policies", () => {
      const path = `${SATELLITES}/policy`;

      before(async () => {
        await create("policy", { desiredPower: "off" });
        await untilPhase("policy", "Asleep");
      });

      const message = ({ status: code, body }: ApiAnswer): string =>
        `${code} ${String(Reflect.get(body as object, "message"))}`;

      /** Tries a merge patch without lasting effect. */
      const attempt = (pod: RunningPod, body: object, subresource = ""): Promise<ApiAnswer> =>
        pod.client.request("PATCH", `${path}${subresource}?dryRun=All`, body, {
          contentType: "application/merge-patch+json",
        });

      for (const program of ["operator", "router"] as const) {
        it(`let the ${program} change desiredPower and nothing else of spec`, async () => {
          const pod = pods[program];
          expect((await attempt(pod, { spec: { desiredPower: "on" } })).status).to.equal(200);
          const others = [
            { idleTimeout: "1h" },
            { className: "custom" },
            { size: "small" },
            { desiredPower: "on", wakePolicy: "Manual" },
            { drainTimeout: null },
          ];
          for (const spec of others.slice(0, -1)) {
            expect(message(await attempt(pod, { spec })), JSON.stringify(spec)).to.match(
              /^403 .*no field of spec but desiredPower/,
            );
          }
          // A removed field gets its default back, so this one changes nothing.
          expect((await attempt(pod, { spec: others.at(-1) })).status).to.equal(200);
        });

        it(`keep labels, annotations and owners from the ${program}`, async () => {
          const owner = { apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "x" };
          for (const metadata of [
            { labels: { a: "b" } },
            { annotations: { "satellites.dev/paused": "true" } },
            { ownerReferences: [owner] },
          ]) {
            expect(message(await attempt(pods[program], { metadata }))).to.match(
              /^403 .*may not change labels, annotations or owners/,
            );
          }
        });
      }

      it("let the operator change its own finalizer alone", async () => {
        const own = await attempt(pods.operator, { metadata: { finalizers: ["satellites.dev/machine"] } });
        expect(own.status).to.equal(200);
        expect((await attempt(pods.operator, { metadata: { finalizers: [] } })).status).to.equal(200);
        const foreign = await attempt(pods.operator, { metadata: { finalizers: ["example.com/other"] } });
        expect(message(foreign)).to.match(/^403 .*those of satellites\.dev alone/);
      });

      it("let the operator change nothing in the spec of a class", async () => {
        const { body } = await get(`${CLASSES}/default`);
        const { defaultSize, sizes } = (body as { spec: { defaultSize: string; sizes: object } }).spec;
        const spec = { sizes: { ...sizes, huge: { types: ["m7i.48xlarge"] } }, defaultSize };
        const answer = await pods.operator.client.mergePatch(`${CLASSES}/default?dryRun=All`, { spec });
        expect(message(answer)).to.match(/^403 .*no field of spec but desiredPower/);
      });

      it("let the router change no finalizer", async () => {
        await release.admin.mergePatch(path, { metadata: { finalizers: ["satellites.dev/machine"] } });
        const answer = await attempt(pods.router, { metadata: { finalizers: [] } });
        expect(message(answer)).to.match(/^403 .*the router none/);
      });

      it("let the router write its own lease and the time, and nothing else of status", async () => {
        const own = { activity: { "router-0": LEASE }, lastActiveTime: LEASE.time };
        expect((await attempt(pods.router, { status: own }, "/status")).status).to.equal(200);
        const ofWorkers = { activity: { "router-0.1": LEASE, "router-0.2": LEASE } };
        expect((await attempt(pods.router, { status: ofWorkers }, "/status")).status).to.equal(200);
        for (const other of [
          { phase: "Running" },
          { power: { state: "Running" } },
          { machine: { id: "i-0123456789abcdef0" } },
          { endpoint: { host: "10.0.0.1", port: 1 } },
        ]) {
          const answer = await attempt(pods.router, { status: { ...own, ...other } }, "/status");
          expect(message(answer), JSON.stringify(other)).to.match(
            /^403 .*no field of status but activity and lastActiveTime/,
          );
        }
      });

      it("keep a router from other routers' leases: new ones, changes and removals", async () => {
        const leases = { "router-1": LEASE };
        await release.admin.mergePatch(`${path}/status`, { status: { activity: leases } });
        for (const activity of [
          { "router-2": LEASE },
          { "router-01": LEASE },
          { "router-1": { ...LEASE, seq: 2 } },
          { "router-1": null },
        ]) {
          const answer = await attempt(pods.router, { status: { activity } }, "/status");
          expect(message(answer), JSON.stringify(activity)).to.match(
            /^403 .*router router-0 may change no entry of status\.activity but its own/,
          );
        }
      });

      it("do not concern people", async () => {
        const answer = await release.admin.mergePatch(`${path}?dryRun=All`, { spec: { idleTimeout: "1h" } });
        expect(answer.status).to.equal(200);
      });
    });
  });

  describe("with the router as sidecar", () => {
    it("share an account, and still bring a request to a VM", async () => {
      const router = { ...(values["router"] as object), mode: "sidecar", access: { mode: "loopback" } };
      await release.apply({ ...values, router });
      const pod = await release.startPod("sat-satellites", "both-0");
      expect([...pod.programs.keys()]).to.deep.equal(["operator", "router"]);
      await untilReady(Reflect.get(router, "healthPort"));
      await create("cleo", {});
      await connect("cleo").describe(90_000);
      expect(Object.keys((await read("cleo")).status.activity)).to.deep.equal(["both-0"]);
      const denied = await pod.client.mergePatch(`${SATELLITES}/cleo?dryRun=All`, {
        spec: { idleTimeout: "1h" },
      });
      expect(denied.status).to.equal(403);
      await release.admin.request("DELETE", `${SATELLITES}/cleo`);
      await eventually("cleo is gone", async () => (await get(`${SATELLITES}/cleo`)).status === 404);
    });

    it("pass the chart's own test, whose pod is admitted", async () => {
      const { code, stdout, stderr } = await release.helm(["get", "hooks", RELEASE]);
      expect(code, stderr).to.equal(0);
      const [hook] = manifestsOf(stdout) as unknown as TestPod[];
      const namespace = `/api/v1/namespaces/${RELEASE_NAMESPACE}`;
      // Which the controller manager makes in a cluster.
      await release.created(`${namespace}/serviceaccounts`, { metadata: { name: "default" } });
      await release.created(`${namespace}/pods`, { ...hook });
      const [program, ...args] = hook?.spec.containers[0]?.command ?? [];
      expect(program).to.equal("node");
      // There is no cluster network here: the Service's name stands for this machine.
      const service = `sat-satellites-metrics.${RELEASE_NAMESPACE}.svc`;
      const local = args.map((argument) => argument.replaceAll(service, "127.0.0.1"));
      expect(local.join(" ")).to.include("127.0.0.1");
      const output = execFileSync(process.execPath, local, { encoding: "utf8" });
      expect(output.match(/readyz: 200/g)).to.have.length(2);
    });

    it("were never refused anything that they asked for", () => {
      const user = `system:serviceaccount:${RELEASE_NAMESPACE}:sat-satellites`;
      const requests = auditedRequests(release.server.auditLog, user);
      expect(requests).to.not.have.length(0);
      expect(requests.filter(({ code }) => code === 403)).to.deep.equal([]);
    });
  });
});
