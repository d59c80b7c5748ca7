import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import type { Case, Trial } from "./case.ts";
import { official } from "./official.ts";
import { Stranger } from "./stranger.ts";

const PEER_PY = join(import.meta.dirname, "peer.py");
const MESSAGE_BYTES = 20 * 1024 * 1024;
/** How long a call is held while the client's keepalive pings. */
const HOLD_MS = 3000;

/** Lets a client of its own talk, whatever comes of it. */
async function withStranger<T>(stranger: Stranger, talk: (stranger: Stranger) => Promise<T>): Promise<T> {
  try {
    return await talk(stranger);
  } finally {
    await stranger.stop();
  }
}

type Language = "grpc-go" | "Python";

function connect({ programs, world }: Trial, language: Language): Stranger {
  const where = [`127.0.0.1:${world.port}`, ...(world.caFile === undefined ? [] : [world.caFile])];
  return language === "grpc-go"
    ? new Stranger(programs.peer, ["talk", ...where])
    : new Stranger(programs.python, [PEER_PY, ...where]);
}

function talking(
  language: Language,
  name: string,
  talk: (stranger: Stranger, trial: Trial) => Promise<void>,
): Case {
  return {
    name: `${language} ${name}`,
    run: async (trial) => {
      await trial.world.awake();
      await withStranger(connect(trial, language), (stranger) => talk(stranger, trial));
    },
  };
}

/** Bodies of the calls that come while a stream keeps the VM from its stop. */
const WHILE_DRAINING: readonly (readonly [string, readonly number[]])[] = [
  ["an empty call", [0]],
  ["a call of 1 MB", [1_000_000]],
  ["ten calls of 200 kB", Array.from({ length: 10 }, () => 200_000)],
];

/**
 * A stream is open, the satellite is asked to sleep, calls come on the same channel and are held; then something is said
 * on the stream, it ends, and the calls are answered after the wake.
 */
function draining(language: Language, what: string, sizes: readonly number[]): Case {
  return talking(language, `${what}, draining, on the stream's channel`, async (stranger, { world }) => {
    await stranger.tell("open", "stream", 1000);
    await world.draining();
    const calls = Promise.allSettled(sizes.map((size) => stranger.call(size)));
    await world.held(sizes.length);
    await stranger.tell("say", "stream", 300_000);
    await stranger.tell("end", "stream");
    const failures = (await calls).filter((call) => call.status === "rejected");
    if (failures[0] !== undefined) {
      throw new Error(`${failures.length} of ${sizes.length} failed: ${String(failures[0].reason)}`);
    }
  });
}

/** A channel that outlives three sleeps, after each of which the VM is at another address. */
function moving(language: Language): Case {
  return talking(
    language,
    "calls of 1 MB on one channel, at three new addresses",
    async (stranger, trial) => {
      const { world, vm } = trial;
      const addresses = new Set([vm.port]);
      vm.moves = true;
      try {
        for (let round = 0; round < 3; round += 1) {
          await stranger.call(1_000_000);
          await world.asleep();
          await stranger.call(1_000_000);
          addresses.add(vm.port);
        }
      } finally {
        vm.moves = false;
      }
      if (addresses.size < 4) {
        throw new Error(`the VM was only at ${[...addresses].join(", ")}`);
      }
    },
  );
}

/** A client that says its whole request while the satellite sleeps. */
const asleep = (language: Language, what: string, verb: string, size: number): Case =>
  talking(language, `${what}, asleep`, async (stranger, { world }) => {
    await world.asleep();
    await stranger.call(size, verb);
  });

const awake = (language: Language, what: string, verb: string, size: number): Case =>
  talking(language, `${what}, awake`, (stranger) => stranger.call(size, verb));

const PYTHON_CALLS: readonly (readonly [string, string, number])[] = [
  ["binary metadata and trailers", "metadata", 4096],
  ["gzip", "gzip", 500_000],
  ["a message of 20 MB", "call", MESSAGE_BYTES],
  ["twenty messages, then half-close, then the answers", "upload", 50_000],
];

const HELD_BY_PYTHON: readonly Case[] = [
  talking("Python", "keepalive while held", async (stranger, { world, vm }) => {
    await world.asleep();
    const gate = vm.holdStart();
    try {
      const call = stranger.call(100_000);
      call.catch(() => {}); // Looked at below.
      await world.held(1);
      await delay(HOLD_MS);
      gate.open();
      await call;
    } finally {
      gate.open();
    }
  }),
  talking("Python", "cancel while held", async (stranger, { world, vm }) => {
    await world.asleep();
    const gate = vm.holdStart();
    try {
      await stranger.tell("begin", "call", 300_000);
      await world.held(1);
      await stranger.tell("cancel", "call");
      await world.held(0);
    } finally {
      gate.open();
    }
    await stranger.call(1000);
  }),
];

/** Another connection's call comes while a stream keeps the VM from its stop. */
const OFFICIAL_WHILE_DRAINING: Case = talking(
  "grpc-go",
  "large_unary, draining, on a channel of its own",
  async (stranger, { world, programs }) => {
    await stranger.tell("open", "stream", 1000);
    await world.draining();
    const call = official(programs, world, "large_unary");
    call.catch(() => {}); // Looked at below.
    await world.held(1);
    await stranger.tell("say", "stream", 300_000);
    await stranger.tell("end", "stream");
    await call;
  },
);

/** What clients with a channel of their own are told to do. */
export const TALKS: readonly Case[] = [
  ...PYTHON_CALLS.flatMap(([what, verb, size]) => [
    awake("Python", what, verb, size),
    asleep("Python", what, verb, size),
  ]),
  asleep("grpc-go", "a message of 20 MB", "call", MESSAGE_BYTES),
  ...HELD_BY_PYTHON,
  ...(["grpc-go", "Python"] as const).flatMap((language) => [
    ...WHILE_DRAINING.map(([what, sizes]) => draining(language, what, sizes)),
    moving(language),
  ]),
  OFFICIAL_WHILE_DRAINING,
];
