import { createWriteStream } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";

import { SatelliteError } from "../../base/errors.ts";
import { shellQuote } from "./command-line.ts";
import { explainDiskError, type InstanceFiles } from "./instance-store.ts";
import type { QmpClient, QmpEvent } from "./qmp.ts";

/** First bytes of a migration stream (QEMU_VM_FILE_MAGIC in QEMU's migration/savevm.h). */
const MAGIC = Buffer.from("QEVM");
/** QEMU's default limit is 128 MiB/s; a file can take more. */
const MAX_BANDWIDTH = 2 ** 40;

/**
 * Writes the memory of a stopped VM into `files.partialMemory` and flushes it. QEMU sends to a socket of
 * this process rather than to a file, so that a full disk is an error with a code here, not a broken pipe.
 *
 * @returns size of the image in bytes
 * @throws SatelliteError `DiskFull`, `MemorySaveFailed`; the VM is then still stopped and whole
 */
export async function saveMemory(qmp: QmpClient, files: InstanceFiles): Promise<number> {
  await rm(files.migrationSocket, { force: true });
  const server = createServer();
  const connection = new Promise<Socket>((resolve) => {
    server.once("connection", resolve);
  });
  await listen(server, files.migrationSocket);
  try {
    await qmp.execute("migrate-set-parameters", {
      "max-bandwidth": MAX_BANDWIDTH,
      "downtime-limit": 2_000_000,
    });
    const finished = migrationFinished(qmp);
    await qmp.execute("migrate", { uri: `unix:${files.migrationSocket}` });
    const sent = Promise.race([connection, finished.then(() => connection)]);
    // The received stream ends when QEMU has sent everything; whether it succeeded arrives as an event.
    const [written] = await Promise.allSettled([
      sent.then((socket) => pipeline(socket, createWriteStream(files.partialMemory, { flush: true }))),
      finished,
    ]);
    if (written.status === "rejected") {
      throw written.reason;
    }
    await finished;
    return await checkImage(files.partialMemory);
  } catch (thrown) {
    await rm(files.partialMemory, { force: true });
    throw explainDiskError(thrown, files.directory);
  } finally {
    server.close();
    await rm(files.migrationSocket, { force: true });
  }
}

/**
 * Loads the memory image into a QEMU that was started with `-S -incoming defer`. The VM stays stopped.
 *
 * @throws SatelliteError `MemoryLoadFailed`; the image is untouched
 */
export async function loadMemory(qmp: QmpClient, files: InstanceFiles): Promise<void> {
  const finished = migrationFinished(qmp);
  await qmp.execute("migrate-incoming", { uri: `exec:cat ${shellQuote(files.memory)}` });
  await finished;
}

/** Switches the migration events on; to be called once per connection to a QEMU. */
export async function enableMigrationEvents(qmp: QmpClient): Promise<void> {
  await qmp.execute("migrate-set-capabilities", { capabilities: [{ capability: "events", state: true }] });
}

function migrationFinished(qmp: QmpClient): Promise<void> {
  const finished = new Promise<void>((resolve, reject) => {
    const fail = (detail: string): void =>
      reject(new SatelliteError("MigrationFailed", `QEMU could not move the VM's memory: ${detail}`));
    const stopListening = qmp.onEvent((event: QmpEvent) => {
      if (event.event !== "MIGRATION") {
        return;
      }
      const status = event.data["status"];
      if (status === "completed") {
        stopListening();
        resolve();
      } else if (status === "failed" || status === "cancelled") {
        stopListening();
        fail(`migration ${status}`);
      }
    });
    void qmp.closed.then(() => fail("QEMU ended"));
  });
  // Callers await it later; until then a rejection must not count as unhandled.
  finished.catch(() => {});
  return finished;
}

/** A whole stream starts with the magic and ends with the description of its devices, a JSON object. */
async function checkImage(path: string): Promise<number> {
  const { size } = await stat(path);
  await using file = await open(path, "r");
  const head = Buffer.alloc(MAGIC.length);
  const tail = Buffer.alloc(1);
  await file.read(head, 0, head.length, 0);
  await file.read(tail, 0, 1, size - 1);
  if (!head.equals(MAGIC) || tail.toString() !== "}") {
    throw new SatelliteError("MemorySaveFailed", `the memory image ${path} (${size} bytes) is not whole`);
  }
  return size;
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
}
