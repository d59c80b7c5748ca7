import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parse, parseAllDocuments, stringify } from "yaml";
import { LEASE, type Lease, NAMESPACE } from "../../src/kube/resources.ts";
import { timestamp } from "../../src/satellite/conditions.ts";
import { Annotation, SATELLITE_CLASSES, SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { Cluster } from "../router/access/access-bench.ts";
import { awake, power, satellite } from "../router/satellites.ts";
import { TestVM } from "../router/support/grpc-peers.ts";
import { until } from "../router/support/router-bench.ts";
import { Terminal, type TerminalOptions } from "./terminal.ts";

const PERSON = { name: "person", groups: ["people"], token: "token-of-a-person" };

describe("commands for people, on the embedded API server", function () {
  this.timeout(20_000);
  let cluster: Cluster;
  let home: string;
  let terminal: Terminal;

  before(async () => {
    cluster = await Cluster.start([PERSON], () => true, 8372);
  });
  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), "satellites-cli-"));
    terminal = person();
    await cluster.reset(awake(), satellite({ name: "bob" }));
  });
  afterEach(() => rmSync(home, { recursive: true }));
  after(() => cluster.stop());

  const person = (options: Partial<TerminalOptions> = {}): Terminal =>
    new Terminal({
      environment: { HOME: home, KUBECONFIG: cluster.kubeconfig(PERSON.token) },
      ...options,
    });

  /** Writes a status as the operator does. */
  async function report(name: string, status: Partial<Satellite["status"]>): Promise<void> {
    const known = await cluster.read(name);
    const { generation = 0 } = known.metadata;
    await cluster.admin.replace(
      SATELLITES,
      { ...known, status: { ...known.status, observedGeneration: generation, ...status } },
      { subresource: "status" },
    );
  }

  async function untilWished(name: string, wished: "on" | "off"): Promise<void> {
    await until(async () => (await cluster.read(name)).spec.desiredPower === wished);
  }

  const condition = (type: string, status: "True" | "False", reason = "Because", message = ""): object => ({
    type,
    status,
    reason,
    message,
    lastTransitionTime: timestamp(new Date()),
  });
  const conditions = (...list: object[]): Pick<Satellite["status"], "conditions"> =>
    ({ conditions: list }) as Pick<Satellite["status"], "conditions">;

  describe("ls", () => {
    it("shows the server's columns of one namespace, and of all with -A", async () => {
      const one = await terminal.run("ls", "-n", "team-a");
      expect(one.out).to.match(
        /^NAME +POWER +PHASE +AWAKE +SIZE +IDLE +AGE\nada +on +Running .*\nbob +off +Asleep .*\n$/,
      );
      const all = await terminal.run("ls", "-A");
      expect(all.out).to.match(/^NAMESPACE +NAME +POWER .*\nteam-a +ada .*\nteam-a +bob .*\n$/);
    });

    it("shows more columns with -o wide, and names, JSON and YAML as kubectl does", async () => {
      expect((await terminal.run("ls", "-A", "-o", "wide")).out).to.match(/^NAMESPACE.* CLASS\n/);
      expect((await terminal.run("ls", "-n", "team-a", "-o", "name")).out).to.equal(
        "satellite.satellites.dev/ada\nsatellite.satellites.dev/bob\n",
      );
      const list = JSON.parse((await terminal.run("ls", "-A", "-o", "json")).out) as { items: Satellite[] };
      expect(list).to.include({ kind: "List", apiVersion: "v1" });
      expect(list.items.map(({ kind, metadata: { name } }) => [kind, name])).to.deep.equal([
        ["Satellite", "ada"],
        ["Satellite", "bob"],
      ]);
      const one = parse((await terminal.run("ls", "bob", "-n", "team-a", "-o", "yaml")).out) as Satellite;
      expect(one.metadata.name).to.equal("bob");
    });

    it("shows those whose labels match, or says that there are none, and where", async () => {
      await cluster.admin.patch(
        SATELLITES,
        { namespace: "team-a", name: "ada" },
        {
          type: "merge",
          body: { metadata: { labels: { team: "a" } } },
        },
      );
      expect((await terminal.run("ls", "-n", "team-a", "-l", "team=a", "--no-headers")).out).to.match(
        /^ada [^\n]*\n$/,
      );
      expect(await terminal.run("ls")).to.deep.equal({
        code: 0,
        out: "",
        err: "No resources found in default namespace.\n",
      });
      const toPeople = await person({ isTTY: true }).run("ls");
      expect(toPeople.err).to.contain("ls -A shows those of all namespaces.\n");
    });

    it("shows those of the names that are there, and ends with status 1 for one that is not", async () => {
      const { code, out, err } = await terminal.run("ls", "-n", "team-a", "ada", "nobody");
      expect(code).to.equal(1);
      expect(out).to.match(/^NAME.*\nada .*\n$/);
      expect(err).to.match(/^Error from server \(NotFound\): .*nobody/);
    });

    it("goes on with each change under -w, under the same columns, until it is interrupted", async () => {
      const watch = terminal.start("ls", "-n", "team-a", "ada", "-w");
      await until(() => watch.out().split("\n").length === 3);
      await report("ada", { phase: "Draining" });
      await until(() => watch.out().includes("Draining"));
      await report("bob", { phase: "Waking" });
      await report("ada", { phase: "Asleep" });
      await until(() => watch.out().includes("Asleep"));
      watch.stop();
      const { code, out, err } = await watch.ended;
      expect([code, err]).to.deep.equal([130, ""]);
      expect(
        out
          .trimEnd()
          .split("\n")
          .map((line) => line.split(/ +/).slice(0, 3)),
      ).to.deep.equal([
        ["NAME", "POWER", "PHASE"],
        ["ada", "on", "Running"],
        ["ada", "on", "Draining"],
        ["ada", "on", "Asleep"],
      ]);
    });

    it("goes on with each change under -w in JSON and YAML, too, one object after the other", async () => {
      for (const [format, read, separator] of [
        ["json", (text: string): unknown => JSON.parse(text), /(?<=\n\})\n/],
        ["yaml", (text: string): unknown => parse(text), /^---\n/m],
      ] as const) {
        await report("ada", { phase: "Running" });
        const watch = terminal.start("ls", "-n", "team-a", "ada", "-w", "-o", format);
        const seen = (): string[] =>
          watch
            .out()
            .split(separator)
            .filter((text) => text.trim() !== "")
            .map((text) => read(text) as Satellite)
            .map(({ kind, metadata, status }) => `${kind} ${metadata.name} ${status.phase}`);
        await until(() => seen().length === 1);
        await report("bob", { phase: "Waking" });
        await report("ada", { phase: "Draining" });
        await until(() => seen().length === 2);
        watch.stop();
        expect((await watch.ended).code).to.equal(130);
        expect(seen()).to.deep.equal(["Satellite ada Running", "Satellite ada Draining"]);
        await report("bob", { phase: "Asleep" });
      }
    });

    it("looks for a name in one namespace alone, as kubectl does", async () => {
      const { code, err } = await terminal.run("ls", "ada", "-A");
      expect([code, err]).to.deep.equal([
        1,
        "error: a name is looked for in one namespace: leave -A out, or the name (InvalidOption)\n",
      ]);
    });

    it("takes names as -o name prints them, and flags as kubectl does", async () => {
      const { out } = await terminal.run("-n=team-a", "ls", "-o=name");
      const names = out.trim().split("\n");
      expect(names).to.have.length(2);
      expect((await terminal.run("ls", "-n=team-a", "-oname", ...names)).out).to.equal(out);
      expect((await terminal.run("inspect", "-n", "team-a", names[0] ?? "")).out).to.match(/^team-a\/ada /);
    });

    it("names the user that --as impersonates to the API server", async () => {
      const { err } = await terminal.run("ls", "--as", "somebody", "--context", "none");
      expect(err).to.contain('no context "none"');
    });
  });

  describe("use", () => {
    it("chooses the satellite that commands without a name mean, for each context", async () => {
      expect((await terminal.run("inspect")).err).to.match(/kubectl satellite use NAME.*SatelliteNotNamed/);
      expect((await terminal.run("use", "nobody", "-n", "team-a")).code).to.equal(1);
      expect((await terminal.run("use", "bob", "-n", "team-a")).code).to.equal(0);
      expect((await terminal.run("use")).out).to.equal("team-a/bob\n");
      expect((await terminal.run("inspect")).out).to.match(/^team-a\/bob {2}Asleep\n/);
      expect((await terminal.run("inspect", "-n", "team-a")).code).to.equal(0);
      const elsewhere = await terminal.run("sleep", "-n", "team-b");
      expect([elsewhere.code, elsewhere.out]).to.deep.equal([1, ""]);
      expect(elsewhere.err).to.contain(
        "the satellite that use chose is team-a/bob, and not in namespace team-b",
      );
      const both = await terminal.run("use", "--clear", "ada");
      expect(both.err).to.match(/leave ada out, or --clear \(InvalidOption\)/);
      expect((await terminal.run("use", "--clear")).out).to.match(
        /^no satellite is chosen for context \S+ any more\n$/,
      );
      expect((await terminal.run("use")).out).to.contain("no satellite is chosen");
    });
  });

  describe("inspect", () => {
    it("says who holds it awake and since when, and what to do next", async () => {
      await report("ada", {
        activity: {
          "router-0": {
            seq: 1,
            validSeconds: 60,
            openStreams: 3,
            oldestStream: {
              user: "ci",
              method: "/moby.buildkit.v1.Control/Solve",
              since: new Date(Date.now() - 300_000).toISOString(),
            },
            time: timestamp(new Date()),
          },
        },
        machine: {
          id: "i-1",
          type: "t3.small",
          size: "small",
          zone: "eu-1a",
          buildkit: { version: "v0.33.1", cacheBytes: 7 * 2 ** 30, cacheMaxBytes: 170 * 2 ** 30 },
        },
        usage: { runningSeconds: 3600, asleepSeconds: 10_800, wakes: 4 },
        ...conditions(condition("Ready", "True", "Running")),
      });
      const { out } = await terminal.run("inspect", "ada", "-n", "team-a");
      expect(out).to.match(/^team-a\/ada {2}Running\n/);
      expect(out).to.match(
        /Held awake\n {2}router-0 +3 open streams, ci by \/moby.buildkit.v1.Control\/Solve for 5m(?:\d+s)?, said \d+s ago\n/,
      );
      expect(out).to.match(/instance +i-1 {2}t3.small {2}small {2}eu-1a\n/);
      expect(out).to.match(/buildkit +v0.33.1, cache 7.0 GiB of at most 170.0\n/);
      expect(out).to.contain("awake 1h, asleep 3h (75 % of its time), 4 wakes");
      expect(out).not.to.contain("cost");
      expect(out).to.contain("kubectl satellite proxy ada -n team-a");
      expect(out).not.to.contain("\u001B");
    });

    it("says what it costs awake and asleep, by the prices of its class", async () => {
      await report("ada", {
        machine: { id: "i-1", type: "t3.small" },
        usage: { runningSeconds: 36_000, asleepSeconds: 108_000, wakes: 4 },
        power: power("Off"),
      });
      const [made] = await installClass(cluster);
      const page = async (): Promise<string> => (await terminal.run("inspect", "ada", "-n", "team-a")).out;
      const setPrices = (prices: object | null): Promise<unknown> =>
        cluster.admin.patch(
          SATELLITE_CLASSES,
          { name: made?.metadata.name ?? "" },
          { type: "merge", body: { spec: { prices } } },
        );
      await setPrices(null);
      expect(await page()).to.contain(
        "cost        class default has no price of t3.small (spec.prices.perHour)",
      );
      await setPrices({ currency: "USD", perHour: { "t3.small": "0.02" }, perGiBMonth: "0.73" });
      // What the operator says of the class.
      await cluster.admin.patch(
        SATELLITE_CLASSES,
        { name: made?.metadata.name ?? "" },
        { type: "merge", body: { status: { diskGiB: 4 } } },
        { subresource: "status" },
      );
      // 4 GiB at 0.73 a month of 730 hours are 0.004 an hour.
      expect(await page())
        .to.contain("cost        awake 0.0240 USD/h, asleep 0.0040 USD/h\n")
        .and.contain("so far      0.36 USD; sleeping saved 0.60 USD\n");
      const { out, err } = await terminal.run("savings", "-A");
      expect(out).to.match(
        /^SATELLITE +AWAKE .*\nteam-a\/ada +10.0 h +30.0 h +4 +\$0.20 +\$0.60 +██████░{18}\n/,
      );
      expect(err).to.contain("machine hours alone");
      await cluster.admin.delete(SATELLITE_CLASSES, { name: made?.metadata.name ?? "" });
    });

    it("speaks of what the cloud has not accepted yet on the way alone", async () => {
      const page = async (state: "Off" | "Starting"): Promise<string> => {
        await report("bob", { power: power(state, { accepted: false }) });
        return (await terminal.run("inspect", "bob", "-n", "team-a")).out;
      };
      expect(await page("Starting")).to.contain("the cloud has not accepted it yet");
      expect(await page("Off")).not.to.contain("accepted");
    });

    it("says why one has failed, and colours on a terminal unless NO_COLOR asks for none", async () => {
      await report("bob", {
        phase: "Failed",
        ...conditions(
          condition("Ready", "False", "NoCapacity", "ask for another type"),
          condition("Stalled", "True"),
        ),
      });
      const { out } = await terminal.run("inspect", "bob", "-n", "team-a");
      expect(out).to.contain("why         NoCapacity: ask for another type");
      expect(out).to.contain("only a person can help");
      const coloured = await person({ isTTY: true }).run("inspect", "bob", "-n", "team-a");
      expect(coloured.out).to.contain("\u001B[31mFailed\u001B[0m");
      const environment = { HOME: home, KUBECONFIG: cluster.kubeconfig(PERSON.token), NO_COLOR: "1" };
      const plain = await person({ isTTY: true, environment }).run("inspect", "bob", "-n", "team-a");
      // A second may pass between the two.
      const ageless = (text: string): string => text.replaceAll(/ +\d+[dhms][\ddhms]* */g, " AGE ");
      expect(ageless(plain.out)).to.equal(ageless(out));
      expect(plain.out).not.to.contain("\u001B");
    });
  });

  describe("wake", () => {
    it("wakes, shows each phase, and ends when the port answers", async () => {
      const command = terminal.start("wake", "bob", "-n", "team-a");
      await untilWished("bob", "on");
      await report("bob", { phase: "Waking", power: power("Starting") });
      await until(() => command.err().includes("Waking"));
      await report("bob", {
        phase: "Running",
        power: power("Running"),
        machine: { id: "i-2" },
        ...conditions(condition("Awake", "True")),
      });
      const { code, out, err } = await command.ended;
      expect(code).to.equal(0);
      expect(out).to.match(/^satellite team-a\/bob is awake after \d+\.\d s \(i-2\)\n$/);
      expect(err).to.match(/s {2}team-a\/bob {2}Asleep\n.*Waking\n/);
    });

    it("does not take the status of before for an answer", async () => {
      await report("bob", { power: power("Running"), ...conditions(condition("Awake", "True")) });
      const command = terminal.start("wake", "bob", "-n", "team-a");
      await untilWished("bob", "on");
      await until(() => command.err() !== "");
      expect(command.out()).to.equal("");
      await report("bob", {});
      expect((await command.ended).code).to.equal(0);
    });

    it("fails at once with the reason where only a person can help", async () => {
      const command = terminal.start("wake", "bob", "-n", "team-a");
      await untilWished("bob", "on");
      await report("bob", {
        phase: "Failed",
        ...conditions(
          condition("Ready", "False", "NotAllowed"),
          condition("Stalled", "True", "NotAllowed", "give the role ec2:RunInstances"),
        ),
      });
      const { code, err } = await command.ended;
      expect(code).to.equal(1);
      expect(err).to.match(
        /error: satellite team-a\/bob: NotAllowed: give the role ec2:RunInstances \(NotAwake\)\n$/,
      );
    });

    it("fails at once when somebody puts it to sleep or deletes it meanwhile", async () => {
      const slept = terminal.start("wake", "bob", "-n", "team-a");
      await untilWished("bob", "on");
      const told = await terminal.run("sleep", "bob", "-n", "team-a", "--no-wait");
      expect(told.out).to.equal("satellite team-a/bob is told to sleep\n");
      expect((await slept.ended).err).to.match(/DesiredOff.*NotAwake/);
      const deleted = terminal.start("wake", "bob", "-n", "team-a");
      await untilWished("bob", "on");
      await until(() => deleted.err() !== "");
      await cluster.admin.delete(SATELLITES, { namespace: "team-a", name: "bob" });
      expect((await deleted.ended).err).to.match(/SatelliteDeleted/);
    });

    it("says of a paused one how to go on, and gives up after --timeout", async () => {
      const { code, err } = await terminal.run("wake", "bob", "-n", "team-a", "--timeout", "1s");
      expect(code).to.equal(1);
      expect(err).to.match(/is not awake after 1s: Asleep.*inspect bob -n team-a.*TimedOut/);
      await cluster.admin.patch(
        SATELLITES,
        { namespace: "team-a", name: "bob" },
        {
          type: "merge",
          body: { metadata: { annotations: { [Annotation.paused]: "true" } } },
        },
      );
      expect((await terminal.run("wake", "bob", "-n", "team-a")).err).to.contain(
        "kubectl annotate satellite bob -n team-a satellites.dev/paused-",
      );
    });
  });

  describe("sleep", () => {
    it("waits for streams, shows how many, and ends when it sleeps", async () => {
      const command = terminal.start("sleep", "ada", "-n", "team-a");
      await untilWished("ada", "off");
      await report("ada", {
        phase: "Draining",
        power: power("Stopping", { accepted: false, reason: "Draining" }),
        activity: { "router-0": { seq: 1, validSeconds: 60, openStreams: 2, time: timestamp(new Date()) } },
      });
      await until(() => command.err().includes("Draining, 2 open streams"));
      await report("ada", {
        phase: "Asleep",
        power: power("Off"),
        sleep: { kind: "Hibernated", since: timestamp(new Date()) },
      });
      const { code, out } = await command.ended;
      expect(code).to.equal(0);
      expect(out).to.match(/^satellite team-a\/ada sleeps after \d+\.\d s \(hibernated\)\n$/);
      expect((await cluster.read("ada")).spec.drainTimeout).to.equal("30s");
    });

    it("--now gives streams no time, and leaves drainTimeout as it was", async () => {
      const command = terminal.start("sleep", "ada", "-n", "team-a", "--now");
      await untilWished("ada", "off");
      expect((await cluster.read("ada")).spec.drainTimeout).to.equal("0s");
      await report("ada", { phase: "Asleep", power: power("Off") });
      expect((await command.ended).code).to.equal(0);
      expect((await cluster.read("ada")).spec.drainTimeout).to.equal("30s");
    });

    it("--now leaves drainTimeout as it was when it is interrupted, too", async () => {
      const command = terminal.start("sleep", "ada", "-n", "team-a", "--now");
      await untilWished("ada", "off");
      command.stop();
      expect((await command.ended).code).to.equal(130);
      expect((await cluster.read("ada")).spec.drainTimeout).to.equal("30s");
    });
  });

  describe("rm", () => {
    it("deletes, says what goes with it, and waits until it is gone", async () => {
      await report("ada", { machine: { id: "i-1" } });
      await cluster.admin.patch(
        SATELLITES,
        { namespace: "team-a", name: "ada" },
        {
          type: "merge",
          body: { metadata: { finalizers: ["satellites.dev/machine"] } },
        },
      );
      const command = terminal.start("rm", "ada", "-n", "team-a");
      await until(async () => (await cluster.read("ada")).metadata.deletionTimestamp !== undefined);
      await until(() => command.err() !== "");
      await cluster.admin.patch(
        SATELLITES,
        { namespace: "team-a", name: "ada" },
        {
          type: "merge",
          body: { metadata: { finalizers: null } },
        },
      );
      const { code, out } = await command.ended;
      expect(code).to.equal(0);
      expect(out).to.equal(
        'satellite.satellites.dev "ada" deleted from team-a namespace; its machine i-1 and what is on its disks go with it\n',
      );
    });

    it("ends with status 1 for one that is not there", async () => {
      expect(await terminal.run("rm", "nobody", "-n", "team-a")).to.include({ code: 1, out: "" });
    });
  });

  describe("proxy", () => {
    it("means the kubeconfig's namespace also where --router leaves nothing to be asked of the cluster", async () => {
      const config = parse(readFileSync(cluster.kubeconfig(PERSON.token), "utf8")) as {
        contexts: { context: { namespace?: string } }[];
      };
      for (const { context } of config.contexts) {
        context.namespace = "team-a";
      }
      const file = join(home, "kubeconfig");
      writeFileSync(file, stringify(config));
      for (const [kubeconfig, namespace] of [
        [file, "team-a"],
        [join(home, "none"), "default"],
      ] as const) {
        const at = person({ environment: { HOME: home, KUBECONFIG: kubeconfig } });
        const command = at.start("proxy", "ada", "--router", "127.0.0.1:1");
        await until(() => command.out() !== "");
        command.stop();
        await command.ended;
        expect(command.err()).to.contain(`is satellite ${namespace}/ada, through router 127.0.0.1:1`);
      }
    });
  });

  describe("savings", () => {
    it("compares with an earlier statement", async () => {
      await report("ada", { usage: { runningSeconds: 3600, asleepSeconds: 7200, wakes: 4 } });
      const before = join(home, "before.json");
      writeFileSync(before, (await terminal.run("savings", "-A", "-o", "json")).out);
      await report("ada", { usage: { runningSeconds: 3600, asleepSeconds: 43_200, wakes: 5 } });
      const { out, err } = await terminal.run("savings", "-A", "--since", before);
      expect(out).to.match(/\nteam-a\/ada +[\d.]+ [hm] +10.0 h +1 /);
      expect(err).to.match(/^since 20\d\d-/);
    });

    it("asks for what it needs to look back in time", async () => {
      expect((await terminal.run("savings", "--since", "30d")).err).to.contain("--prometheus");
      expect((await terminal.run("savings", "-o", "json", "--by", "class")).err).to.match(
        /leave --by out.*InvalidOption/,
      );
      expect((await terminal.run("savings", "--prometheus", "http://127.0.0.1:1")).err).to.match(
        /--since.*InvalidOption/,
      );
      expect((await terminal.run("savings", "--since", "soon")).err).to.contain("30d, 12h");
      const { err } = await terminal.run(
        "savings",
        "--since",
        "30d",
        "--prometheus",
        "a/b:1",
        "--by",
        "satellite",
      );
      expect(err).to.contain("--by namespace or --by class");
      expect((await terminal.run("savings")).err).to.equal("No resources found in default namespace.\n");
    });
  });

  describe("doctor", () => {
    it("names what is missing, and how to mend each", async () => {
      const { code, out } = await terminal.run("doctor");
      expect(code).to.equal(1);
      expect(out).to.match(/^ok {4}API server https:.* answers/);
      expect(out).to.match(
        /FAIL {2}there is no SatelliteClass.*\n {6}→ apply one: examples\/aws\/class.yaml\n/,
      );
      expect(out).to.match(/FAIL {2}no operator has ever led.*\n {6}→ install the chart/);
      expect(out).to.match(
        /FAIL {2}this API server knows no pods, .*--router HOST:PORT, or use a kubeconfig/,
      );
      expect(out).to.match(/\n3 broken\n$/);
    });

    it("finds nothing where a class is Ready, an operator leads and a router answers", async () => {
      const vm = await TestVM.start();
      try {
        const now = new Date();
        const [made] = await installClass(cluster);
        await cluster.admin.replace(
          SATELLITE_CLASSES,
          {
            ...made,
            status: {
              resolved: {
                images: { amd64: "ami-1" },
                subnets: ["subnet-1"],
                securityGroups: ["sg-1", "sg-2"],
              },
              ...conditions(condition("Ready", "True")),
            },
          } as SatelliteClass,
          { subresource: "status" },
        );
        await cluster.admin.create(NAMESPACE, { metadata: { name: "satellites" } });
        await cluster.admin.create<Lease>(LEASE, {
          metadata: { name: "satellites-operator", namespace: "satellites" },
          spec: {
            holderIdentity: "operator-0",
            leaseDurationSeconds: 15,
            renewTime: now.toISOString().replace("Z", "000Z"),
          },
        });
        const { code, out } = await terminal.run("doctor", "--router", `127.0.0.1:${vm.port}`);
        expect(out)
          .to.contain(
            "ok    class default is Ready: ami-1 (amd64), 1 subnet, 2 security groups, EC2 refused none of the operator's dry runs",
          )
          .and.contain("ok    operator operator-0 leads");
        expect(out).to.contain(`ok    a router is reached: router 127.0.0.1:${vm.port}`);
        expect(code, out).to.equal(0);
        await report("ada", {
          ...conditions(condition("Hibernatable", "False", "NotSupported", "another type does")),
        });
        const team = await terminal.run("doctor", "-n", "team-a", "--router", `127.0.0.1:${vm.port}`);
        expect(team.out).to.match(
          /\? {5}satellite ada keeps no memory: NotSupported: another type does\n {6}→ kubectl satellite inspect ada -n team-a/,
        );
        await cluster.admin.create<Lease>(LEASE, {
          metadata: { name: "satellites-operator-b", namespace: "satellites" },
          spec: {
            holderIdentity: "operator-b",
            leaseDurationSeconds: 15,
            renewTime: new Date(now.getTime() - 60_000).toISOString().replace("Z", "000Z"),
          },
        });
        const shard = await terminal.run("doctor", "--router", `127.0.0.1:${vm.port}`);
        expect(shard.out)
          .to.contain("ok    operator operator-0 leads in namespace satellites")
          .and.contain(
            "FAIL  no operator leads shard b in namespace satellites: the lease of operator-b was",
          );
        const gone = await terminal.run("doctor", "--router", "127.0.0.1:1");
        expect(gone.code).to.equal(1);
        expect(gone.out).to.match(/FAIL {2}no router answers at 127.0.0.1:1: .*ECONNREFUSED/);
      } finally {
        vm.stop();
      }
    });
  });
});

/** Creates the example's class. */
async function installClass(cluster: Cluster): Promise<SatelliteClass[]> {
  const file = join(import.meta.dirname, "../../examples/local/class.yaml");
  const documents = parseAllDocuments(readFileSync(file, "utf8")).map(
    (document) => document.toJS() as SatelliteClass,
  );
  return await Promise.all(documents.map((each) => cluster.admin.create(SATELLITE_CLASSES, each)));
}
