import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { systemClock } from "../../src/base/clock.ts";
import { connectGuest, type GuestClient } from "../../src/guest/client.ts";
import { processGroupConfinement } from "../../src/guest/confinement.ts";
import { loadGuestSchema } from "../../src/guest/schema.ts";
import { type GuestServer, startGuestServer } from "../../src/guest/server.ts";

/** A guest service on this machine, with a client. */
export interface TestGuest {
  readonly server: GuestServer;
  readonly client: GuestClient;
  readonly address: string;
  readonly workDirectory: string;
  close(): Promise<void>;
}

/** Starts the service on a free loopback port with a fresh work directory. */
export async function startTestGuest(): Promise<TestGuest> {
  const workDirectory = mkdtempSync(join(tmpdir(), "guest-"));
  const server = await startGuestServer({
    schema: loadGuestSchema(),
    clock: systemClock,
    confinement: processGroupConfinement,
    address: "127.0.0.1:0",
    workDirectory,
    baseEnv: { PATH: "/usr/bin:/bin", HOME: workDirectory },
  });
  const address = `127.0.0.1:${server.port}`;
  const client = connectGuest(address);
  return {
    server,
    client,
    address,
    workDirectory,
    async close() {
      client.close();
      await server.close(1000);
      rmSync(workDirectory, { recursive: true });
    },
  };
}
