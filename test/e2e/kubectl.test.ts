import { expect } from "chai";
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { status, type ServiceError } from "@grpc/grpc-js";
import type { GuestDescription } from "../../src/guest/schema.ts";
import { requireTool } from "../tools/catalog.ts";
import { eventually } from "../support/eventually.ts";
import { openStream, STREAM_LINES, TestSystem } from "./local-system.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/local/satellite.yaml");

/** A satellite's life as people lead it with kubectl. */
describe("kubectl", function () {
  this.timeout(120_000);
  let test: TestSystem;
  const running: ChildProcess[] = [];

  before(async () => {
    test = await TestSystem.start({ virtualVms: { delayMs: 500 } });
  });
  afterEach(() => {
    running.splice(0).forEach((child) => child.kill("SIGKILL"));
  });
  after(() => test?.destroy());

  /** Starts a kubectl that goes on, such as `get --watch`; returns what it has printed so far. */
  function follow(...args: string[]): () => string {
    const child = spawn(requireTool("kubectl"), args, {
      env: { HOME: test.stateDir, KUBECONFIG: test.system.kubeconfig },
      stdio: ["ignore", "pipe", "inherit"],
    });
    running.push(child);
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    return () => text;
  }

  const field = (name: string, path: string): Promise<string> =>
    test.kubectlPrints("get", "satellite", name, "-o", `jsonpath={${path}}`);
  const turn = (name: string, power: "on" | "off"): Promise<string> =>
    test.kubectlPrints(
      "patch",
      "satellite",
      name,
      "--type=merge",
      "-p",
      `{"spec":{"desiredPower":"${power}"}}`,
    );
  const answer = (name: string): Promise<GuestDescription> => test.connect(name).describe(30_000);
  /** An answer after a change that the router may hear of a moment later than kubectl. */
  const answerSoon = (name: string): Promise<GuestDescription> =>
    eventually(`${name} answers`, async () => {
      try {
        return await answer(name);
      } catch (error) {
        expect(error).to.include({ code: status.FAILED_PRECONDITION });
        return undefined;
      }
    });
  const refusal = async (name: string): Promise<ServiceError> => {
    const outcome: unknown = await answer(name).catch((error: unknown) => error);
    expect(outcome).to.be.an.instanceOf(Error);
    return outcome as ServiceError;
  };

  it("applies the example and waits until it is ready", async () => {
    await test.kubectlPrints("apply", "-f", EXAMPLE);
    expect(
      await test.kubectlPrints("wait", "satellite/ada", "--for=condition=Ready", "--timeout=60s"),
    ).to.equal("satellite.satellites.dev/ada condition met\n");
    expect(await field("ada", ".status.phase")).to.equal("Running");
    await test.patch("ada", { idleTimeout: "0s" });
  });

  it("shows a sleep and a wake as they happen", async () => {
    const watched = follow("get", "satellites", "ada", "--watch", "--no-headers");
    await eventually("the watch shows it", () => watched().includes("Running") || undefined);
    await turn("ada", "off");
    await test.kubectlPrints(
      "wait",
      "satellite/ada",
      "--for=jsonpath={.status.phase}=Asleep",
      "--timeout=60s",
    );
    await answer("ada");
    const phases = (): string[] =>
      watched()
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/\s+/).slice(0, 4).join(" "))
        .filter((line, index, lines) => line !== lines[index - 1]);
    const expected = [
      "ada on Running True",
      "ada off Running True",
      "ada off Stopping False",
      "ada off Asleep False",
      "ada on Asleep False",
      "ada on Waking False",
      "ada on Running True",
    ];
    await eventually(
      "the watch shows the whole story",
      () => phases().length >= expected.length || undefined,
    );
    expect(phases()).to.deep.equal(expected);
  });

  it("describes it, with the events of its life", async () => {
    const events = (): Promise<string> => test.kubectlPrints("describe", "satellite", "ada");
    const text = await eventually("all events are there", async () => {
      const found = await events();
      return found.includes("Awake") && found.includes("Asleep") ? found : undefined;
    });
    expect(text)
      .to.match(/Normal +Launched .* satellites-operator +launched i-[0-9a-f]+ \(t3\.small, local-1[ab]\)/)
      .and.match(/Normal +Sleeping .* putting the machine to sleep \(hibernate\)/)
      .and.match(/^ +Phase: +Running$/m);
  });

  it("off with a stream open drains first: the stream runs on, and then it sleeps", async () => {
    const { lines } = await openStream(test.connect("ada"));
    await turn("ada", "off");
    await test.untilPhase("ada", "Draining");
    expect((await test.onlyInstance("ada")).state).to.equal("running");
    expect(await lines).to.have.length(STREAM_LINES);
    await test.untilPhase("ada", "Asleep");
  });

  it("off with a stream open ends the stream when the drain timeout is over", async () => {
    await test.patch("ada", { drainTimeout: "1s" });
    const guest = test.connect("ada");
    await guest.describe(30_000);
    const { lines } = await openStream(guest);
    const ended = lines.catch((error: unknown) => error);
    await turn("ada", "off");
    await test.untilPhase("ada", "Asleep");
    // A guest that is ended in order may cancel its streams itself; a VM whose power goes leaves that to the router.
    expect(await ended)
      .to.have.property("code")
      .that.is.oneOf([status.UNAVAILABLE, status.CANCELLED]);
  });

  it("wakePolicy Manual refuses requests, and says what to do; turning it on lets them in", async () => {
    await test.patch("ada", { wakePolicy: "Manual" });
    const refused = await refusal("ada");
    expect(refused).to.include({ code: status.FAILED_PRECONDITION });
    expect(refused.details).to.equal(
      "satellite default/ada is off and its wakePolicy is Manual, so requests do not wake it; " +
        'set spec.desiredPower to "on"',
    );
    expect(await field("ada", ".spec.desiredPower")).to.equal("off");
    await turn("ada", "on");
    await answerSoon("ada");
    await test.patch("ada", { wakePolicy: "OnRequest" });
  });

  it("the paused annotation stops the operator, which a request is told; without it things go on", async () => {
    await turn("ada", "off");
    await test.untilPhase("ada", "Asleep");
    await test.kubectlPrints("annotate", "satellite", "ada", "satellites.dev/paused=true");
    const calls = test.calls("StartInstances").length;
    const refused = await refusal("ada");
    expect(refused).to.include({ code: status.FAILED_PRECONDITION });
    expect(refused.details).to.contain("satellites.dev/paused");
    expect(test.calls("StartInstances")).to.have.length(calls);
    expect(await field("ada", ".status.phase")).to.equal("Asleep");
    await test.kubectlPrints("annotate", "satellite", "ada", "satellites.dev/paused-");
    await answerSoon("ada");
  });

  it("deletes it while it runs, and waits until nothing is left", async () => {
    const waiting = test.kubectl("wait", "satellite/ada", "--for=delete", "--timeout=60s");
    expect(await test.kubectlPrints("delete", "satellite", "ada", "--timeout=60s")).to.contain(
      '"ada" deleted',
    );
    expect((await waiting).code).to.equal(0);
    expect(await test.onlyInstance("ada")).to.include({ state: "terminated" });
  });

  it("deletes one whose VM is just being launched", async () => {
    await test.create("launching");
    await test.until(
      "launching",
      "a machine is launched",
      ({ status: { machine } }) => machine !== undefined,
    );
    await test.kubectlPrints("delete", "satellite", "launching", "--timeout=60s");
    expect(await test.onlyInstance("launching")).to.include({ state: "terminated" });
  });

  it("deletes one that was created in the same breath, without leaving an instance behind", async () => {
    await test.create("breath");
    await test.delete("breath");
    await test.untilGone("breath");
    const left = (await test.instances("breath")).filter(({ state }) => state !== "terminated");
    expect(left).to.deep.equal([]);
  });

  it("deletes one that is falling asleep", async () => {
    await test.create("sleepy");
    await test.untilPhase("sleepy", "Running");
    await turn("sleepy", "off");
    await test.untilPhase("sleepy", "Stopping");
    await test.kubectlPrints("delete", "satellite", "sleepy", "--timeout=60s");
    expect(await test.onlyInstance("sleepy")).to.include({ state: "terminated" });
  });
});
