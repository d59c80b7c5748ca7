import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

import type { Case, Trial } from "./case.ts";
import { largeUnary, officialSoak } from "./official.ts";

/** What every soak of the official client is: so many large calls by so many threads. */
const SOAK = { iterations: 200, threads: 4 };
const LARGE_UNARY_CALLS = 100;
/** For how long the satellite is awake between two sleeps, in milliseconds. */
const AWAKE_MS = 100;
const QUICK_SLEEPING_MS = 6000;
const SHOWN_FAILURES = 3;

/** Puts the satellite to sleep again and again; every second time it wakes at another address. */
class Sleeper {
  sleeps = 0;
  readonly #trial: Trial;
  readonly #ending = new AbortController();
  readonly #work: Promise<void>;

  constructor(trial: Trial) {
    this.#trial = trial;
    this.#work = this.#run();
    this.#work.catch(() => {}); // Looked at in stop().
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#work;
  }

  async #run(): Promise<void> {
    const { vm, world } = this.#trial;
    const { operator } = world;
    try {
      while (!this.#ending.signal.aborted) {
        const epoch = operator.satellite?.status.power.epoch ?? 0;
        vm.moves = this.sleeps % 2 === 1;
        await operator.sleep("asleep", (power) => power.state === "Off" || power.epoch > epoch);
        this.sleeps += 1;
        await operator.awakeAgain(epoch);
        await delay(AWAKE_MS);
      }
    } finally {
      vm.moves = false;
    }
  }
}

/** Fifty workers of ours that compare the echoes of random bodies. */
class Workers {
  readonly #child;
  readonly #closed: Promise<unknown>;
  #output = "";

  constructor({ programs, world }: Trial) {
    const where = [`127.0.0.1:${world.port}`, ...(world.caFile === undefined ? [] : [world.caFile])];
    this.#child = spawn(programs.peer, ["soak", ...where], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin.on("error", () => {});
    this.#child.stdout.on("data", (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
    this.#closed = once(this.#child, "close");
  }

  /**
   * Lets them end what they have begun.
   *
   * @returns how many calls they made
   * @throws Error when one failed
   */
  async stop(): Promise<number> {
    this.#child.stdin.end();
    await this.#closed;
    const lines = this.#output.trim().split("\n");
    const [, calls, failures] = /^calls (\d+) failures (\d+)$/.exec(lines.at(-1) ?? "") ?? [];
    if (failures !== "0" || calls === "0") {
      throw new Error([`${lines.at(-1)}`, ...lines.slice(0, SHOWN_FAILURES)].join("\n"));
    }
    return Number(calls);
  }
}

/** Does something while fifty workers call and the satellite is put to sleep again and again. */
async function whileSleeping(trial: Trial, act: () => Promise<void>): Promise<string> {
  const workers = new Workers(trial);
  const sleeper = new Sleeper(trial);
  const problems: unknown[] = [];
  const note = (error: unknown): void => void problems.push(error);
  await act().catch(note);
  await sleeper.stop().catch(note);
  const calls = await workers.stop().catch(note);
  if (problems.length > 0) {
    throw new Error([`after ${sleeper.sleeps} sleeps:`, ...problems.map(String)].join("\n"));
  }
  return `${calls ?? 0} calls by the workers, ${sleeper.sleeps} sleeps`;
}

/** Each soak of the official client, and 100 clients that make one call. */
const SOAKS: readonly { readonly name: string; readonly run: (trial: Trial) => Promise<void> }[] = [
  ...(["rpc_soak", "channel_soak"] as const).map((testCase) => ({
    name: `${testCase} ${SOAK.iterations} x ${SOAK.threads}`,
    run: ({ programs, world }: Trial) => officialSoak(programs, world, testCase, SOAK),
  })),
  {
    name: `large_unary x ${LARGE_UNARY_CALLS}`,
    run: ({ programs, world }) => largeUnary(programs, world, LARGE_UNARY_CALLS),
  },
];

type State = "awake" | "asleep" | "sleeping again and again under 50 workers";

function soak({ name, run }: (typeof SOAKS)[number], state: State): Case {
  return {
    name: `grpc-go ${name}, ${state}`,
    run: async (trial) => {
      await trial.world.awake();
      if (state === "asleep") {
        await trial.world.asleep();
      }
      return state === "awake" || state === "asleep" ? run(trial) : whileSleeping(trial, () => run(trial));
    },
  };
}

/** The part of `make test`: each soak once, and the workers alone. */
export const QUICK_SOAKS: readonly Case[] = [
  ...SOAKS.map((one) => soak(one, "awake")),
  {
    name: "grpc-go 50 workers, bodies of 0 to 1 MB, sleeping again and again",
    run: async (trial) => {
      await trial.world.awake();
      return whileSleeping(trial, () => delay(QUICK_SLEEPING_MS));
    },
  },
];

/** Every soak in every state, `rounds` times in a row. */
export function longSoaks(rounds: number): Case[] {
  return Array.from({ length: rounds }, (_, round) =>
    (["awake", "asleep", "sleeping again and again under 50 workers"] as const).flatMap((state) =>
      SOAKS.map((one) => {
        const { name, run } = soak(one, state);
        return { name: `${name}, round ${round + 1}`, run };
      }),
    ),
  ).flat();
}
