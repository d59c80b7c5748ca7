import { execFile } from "node:child_process";
import { openSync } from "node:fs";
import { totalmem } from "node:os";
import { ReadStream, WriteStream } from "node:tty";
import { parseArgs, promisify } from "node:util";

import { sleep, systemClock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import { cgroupConfinement, protectService } from "./confinement.ts";
import { guestIdentity } from "./identity.ts";
import { readInstanceID } from "./instance-id.ts";
import { loadGuestSchema } from "./schema.ts";
import { serveSerialAgent } from "./serial-agent.ts";
import { startGuestServer } from "./server.ts";

/** Commands may use all CPU time except this share, so that health checks are answered in time. */
const CPU_SHARE = 0.95;
/** Memory kept back from commands for the kernel and the service. */
const RESERVED_BYTES = 128 * 1024 * 1024;
const MAX_PROCESSES = 4096;
/** Time that running commands have to end at an orderly shutdown, in milliseconds. */
const SHUTDOWN_GRACE_MS = 5000;

/**
 * Sets the wall clock: to the nearest second at once, and exactly when the next second begins, because
 * busybox's `date` takes whole seconds. Node.js has no call for it.
 */
async function setTime(unixMs: number): Promise<void> {
  const receivedMs = systemClock.monotonicMs();
  await stepClock(Math.round(unixMs / 1000));
  const nowMs = unixMs + systemClock.monotonicMs() - receivedMs;
  const nextSecond = Math.ceil(nowMs / 1000);
  await sleep(systemClock, nextSecond * 1000 - nowMs);
  await stepClock(nextSecond);
}

async function stepClock(unixSeconds: number): Promise<void> {
  await promisify(execFile)("/bin/busybox", ["date", "-s", `@${unixSeconds}`]);
}

/** The guest service as the VM's init starts it; exits with 0 when the VM is to power off. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      work: { type: "string" },
      uid: { type: "string" },
      serial: { type: "string" },
      cgroup: { type: "string" },
      tls: { type: "string" },
    },
    strict: true,
  });
  const { port, work, uid, serial, cgroup, tls } = values;
  if (
    port === undefined ||
    work === undefined ||
    uid === undefined ||
    serial === undefined ||
    cgroup === undefined
  ) {
    throw new Error(
      "usage: --port PORT --work DIRECTORY --uid UID --serial DEVICE --cgroup MOUNTPOINT [--tls DIRECTORY]",
    );
  }
  protectService();
  const identity = tls === undefined ? undefined : guestIdentity(tls, await readInstanceID());
  const server = await startGuestServer({
    schema: loadGuestSchema(),
    clock: systemClock,
    address: `0.0.0.0:${port}`,
    workDirectory: work,
    baseEnv: { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", HOME: work, LANG: "C.UTF-8" },
    user: { uid: Number(uid), gid: Number(uid) },
    confinement: cgroupConfinement(cgroup, {
      cpuShare: CPU_SHARE,
      memoryBytes: totalmem() - RESERVED_BYTES,
      maxProcesses: MAX_PROCESSES,
    }),
    ...(identity === undefined ? {} : { identity }),
  });
  const shutDown = (): void => {
    server.close(SHUTDOWN_GRACE_MS).then(
      () => process.exit(0),
      (thrown: unknown) => fail(thrown),
    );
  };
  process.once("SIGTERM", shutDown);
  serveSerialAgent(new ReadStream(openSync(serial, "r")), new WriteStream(openSync(serial, "w")), {
    setTime,
    shutDown,
  });
  process.stdout.write(`guest service ready on port ${server.port}\n`);
}

function fail(thrown: unknown): void {
  process.stderr.write(`guest service failed: ${toError(thrown).stack ?? ""}\n`);
  process.exit(1);
}

main().catch(fail);
