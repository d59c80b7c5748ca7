import { expect } from "chai";
import { globSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { PROGRAM_NAMES, type ProgramName } from "../../src/commands/local-programs.ts";
import type { GuestClient } from "../../src/guest/client.ts";
import type { GuestDescription } from "../../src/guest/schema.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { eventually } from "../support/eventually.ts";
import { openStream, STREAM_LINES, TestSystem } from "./local-system.ts";

/** Milliseconds of each change of state of a VM: long enough to kill something in its midst. */
const CHANGE_MS = 1500;
const HELD_REQUESTS = 12;

/** Calls until it is answered, as a client does that retries what is UNAVAILABLE. */
async function describeWithRetries(guest: GuestClient): Promise<GuestDescription> {
  return eventually("an answer", async () => {
    try {
      return await guest.describe(60_000);
    } catch (error) {
      expect(Reflect.get(error as Error, "code"), String(error)).to.equal(status.UNAVAILABLE);
      return undefined;
    }
  });
}

describe("kill -9", function () {
  this.timeout(240_000);
  let test: TestSystem;

  before(async () => {
    test = await TestSystem.start({ virtualVms: { delayMs: CHANGE_MS } });
  });
  after(() => test?.destroy());

  const stateOf = async (name: string): Promise<string> => (await test.onlyInstance(name)).state;
  const untilState = (name: string, state: string): Promise<true> =>
    eventually(`the instance of ${name} is ${state}`, async () => {
      const [instance] = await test.instances(name);
      return instance?.state === state ? true : undefined;
    });
  const isStopping = ({ status: { power } }: Satellite): boolean => power.state === "Stopping";

  async function bringUp(name: string): Promise<GuestDescription> {
    await test.create(name);
    return test.connect(name).describe(60_000);
  }

  async function putToSleep(name: string): Promise<void> {
    await test.patch(name, { desiredPower: "off" });
    await test.untilPhase(name, "Asleep");
  }

  /** Satellites in every state of their life, at the same moment. */
  async function inEveryState(prefix: string) {
    const name = (state: string): string => `${prefix}-${state}`;
    const names = {
      launching: name("launching"),
      running: name("running"),
      hibernating: name("hibernating"),
      asleep: name("asleep"),
      waking: name("waking"),
      deleting: name("deleting"),
    };
    const [running, hibernating, asleep, waking] = await Promise.all([
      bringUp(names.running),
      bringUp(names.hibernating),
      bringUp(names.asleep),
      bringUp(names.waking),
      bringUp(names.deleting),
    ]);
    await Promise.all([putToSleep(names.asleep), putToSleep(names.waking)]);
    const { epoch } = (await test.untilPhase(names.running, "Running")).status.power;

    const stream = await openStream(test.connect(names.running));
    const held = Array.from({ length: HELD_REQUESTS }, () => test.connect(names.waking).describe(60_000));
    const answers = Promise.allSettled(held);
    await Promise.all([
      test.create(names.launching),
      test.patch(names.hibernating, { desiredPower: "off" }),
      test.delete(names.deleting),
    ]);
    await Promise.all([
      untilState(names.launching, "pending"),
      test.until(names.hibernating, "is stopping", isStopping),
      untilState(names.hibernating, "stopping"),
      untilState(names.waking, "pending"),
      untilState(names.deleting, "shutting-down"),
    ]);
    return { names, epoch, stream, answers, bootIDs: { running, hibernating, asleep, waking } };
  }

  const victims: readonly { readonly title: string; readonly killed: readonly ProgramName[] }[] = [
    { title: "the operator", killed: ["operator"] },
    { title: "the router", killed: ["router"] },
    { title: "the API server", killed: ["kubernetes"] },
    { title: "the EC2 endpoint", killed: ["ec2"] },
    { title: "everything at once", killed: PROGRAM_NAMES },
  ];
  for (const { title, killed } of victims) {
    it(`of ${title} loses nothing of satellites that launch, run, hibernate, sleep, wake and go`, async () => {
      const { names, epoch, stream, answers, bootIDs } = await inEveryState(killed.join("").slice(0, 20));
      expect(
        await Promise.all(
          [names.launching, names.hibernating, names.asleep, names.waking, names.deleting].map(stateOf),
        ),
        "the moment of the kill",
      ).to.deep.equal(["pending", "stopping", "stopped", "pending", "shutting-down"]);
      await test.kill(...killed);

      // The launch comes to its end, with the instance that it began.
      await test.untilPhase(names.launching, "Running");
      await describeWithRetries(test.connect(names.launching));
      expect(await test.onlyInstance(names.launching)).to.include({ state: "running", transition: 0 });

      // A stream goes on unless what carries it was killed; the satellite does in any case.
      const carriers: ReadonlySet<ProgramName> = new Set(["router", "ec2"]);
      if (killed.some((program) => carriers.has(program))) {
        const failure: unknown = await stream.lines.catch((error: unknown) => error);
        expect(failure).to.include({ code: status.UNAVAILABLE });
      } else {
        expect(await stream.lines).to.have.length(STREAM_LINES);
      }
      const still = await describeWithRetries(test.connect(names.running));
      expect(still.bootId).to.equal(bootIDs.running.bootId);
      expect(test.find(names.running)?.status).to.deep.include({ phase: "Running" });
      expect(test.find(names.running)?.status.power.epoch).to.equal(epoch);
      expect(await test.onlyInstance(names.running)).to.include({ state: "running", transition: 0 });

      // Held requests are answered by the router that holds them; those of a killed one can be repeated.
      const outcomes = await answers;
      for (const outcome of outcomes) {
        if (outcome.status === "fulfilled") {
          expect(outcome.value.bootId).to.equal(bootIDs.waking.bootId);
        } else {
          expect(killed, String(outcome.reason)).to.include("router");
          expect(outcome.reason).to.include({ code: status.UNAVAILABLE });
        }
      }
      const woken = await describeWithRetries(test.connect(names.waking));
      expect(woken.bootId).to.equal(bootIDs.waking.bootId);
      expect(await test.onlyInstance(names.waking)).to.include({ state: "running", transition: 2 });

      // Sleepers sleep on, with their memory.
      for (const name of ["hibernating", "asleep"] as const) {
        const { status: asleep } = await test.untilPhase(names[name], "Asleep");
        expect(asleep.sleep?.kind, name).to.equal("Hibernated");
        expect(await test.onlyInstance(names[name])).to.include({ state: "stopped", transition: 1 });
        const answer = await describeWithRetries(test.connect(names[name]));
        expect(answer.bootId, name).to.equal(bootIDs[name].bootId);
        expect(await test.onlyInstance(names[name])).to.include({ state: "running", transition: 2 });
      }

      await test.untilGone(names.deleting);
      expect(await test.onlyInstance(names.deleting)).to.include({ state: "terminated" });
      const left = Object.values(names).filter((name) => name !== names.deleting);
      await Promise.all(left.map((name) => test.delete(name)));
      await Promise.all(left.map((name) => test.untilGone(name)));
      expect(await Promise.all(left.map(stateOf))).to.deep.equal(left.map(() => "terminated"));
      expect(globSync(join(test.stateDir, "ec2/vms/*.json"))).to.deep.equal([]);
    });
  }

  /** Calls that EC2 carries out, but whose answer the operator does not live to see. */
  const unanswered: readonly {
    readonly action: string;
    readonly carriedOut: string;
    readonly begin: (name: string) => Promise<unknown>;
    readonly from: "nothing" | "running" | "asleep";
    readonly end: (name: string) => Promise<unknown>;
    readonly transition: number;
  }[] = [
    {
      action: "RunInstances",
      carriedOut: "pending",
      from: "nothing",
      begin: (name) => test.create(name),
      end: (name) => test.untilPhase(name, "Running"),
      transition: 0,
    },
    {
      action: "StopInstances",
      carriedOut: "stopping",
      from: "running",
      begin: (name) => test.patch(name, { desiredPower: "off" }),
      end: (name) => test.untilPhase(name, "Asleep"),
      transition: 1,
    },
    {
      action: "StartInstances",
      carriedOut: "pending",
      from: "asleep",
      begin: (name) => test.patch(name, { desiredPower: "on" }),
      end: (name) => test.untilPhase(name, "Running"),
      transition: 2,
    },
    {
      action: "TerminateInstances",
      carriedOut: "shutting-down",
      from: "running",
      begin: (name) => test.delete(name),
      end: (name) => test.untilGone(name),
      transition: 1,
    },
  ];
  for (const { action, carriedOut, from, begin, end, transition } of unanswered) {
    it(`of the operator between a ${action} and its answer does not repeat what was done`, async () => {
      const name = `unanswered-${action.toLowerCase()}`;
      if (from !== "nothing") {
        await bringUp(name);
      }
      if (from === "asleep") {
        await putToSleep(name);
      }
      await test.addFault({ action, kind: "delay", delayMs: 8000 });
      await begin(name);
      await untilState(name, carriedOut);
      await test.kill("operator");
      await end(name);
      expect(await test.onlyInstance(name)).to.include({ transition });
      if (action !== "TerminateInstances") {
        await test.delete(name);
        await test.untilGone(name);
      }
      expect(await stateOf(name)).to.equal("terminated");
    });
  }
});
