import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { LOCAL_IMAGE, LOCAL_REGION, LOCAL_TLS_IMAGE } from "../../src/commands/local-ec2.ts";
import { VirtualVms } from "../../src/commands/virtual-vms.ts";
import { createEc2Endpoint, type Ec2Endpoint } from "../../src/local/ec2/endpoint.ts";
import { listenOn } from "../../src/local/ec2/http-server.ts";
import { Ec2Model } from "../../src/local/ec2/model.ts";
import { defaultNetwork } from "../../src/local/ec2/network.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { ec2Action } from "./ec2-action.ts";

/** An EC2 endpoint whose VMs are virtual, but answer gRPC calls at their addresses. */
export interface VirtualAccount {
  readonly url: string;
  readonly endpoint: Ec2Endpoint;
  /** The true state of its machines, whatever the endpoint answers. */
  readonly model: Ec2Model;
  /**
   * Makes the next request of that action wait.
   *
   * @returns `arrived` resolves when the request is there; `release` lets it go on
   */
  hold(action: string): { readonly arrived: Promise<void>; readonly release: () => void };
  stop(): Promise<void>;
}

/** Where an account is on the network. */
export interface AccountPlace {
  /** Address of the endpoint. */
  readonly host: string;
  /** Blocks of this machine's addresses that VMs get: one for each zone. */
  readonly subnets: readonly [string, string];
}

/** On loopback, apart from other accounts. */
function somewhereOnLoopback(): AccountPlace {
  const second = randomInt(128, 190);
  return { host: "127.0.0.1", subnets: [`127.${second}.0.0/24`, `127.${second}.1.0/24`] };
}

/** Starts an account on a free port, with addresses of its own. */
export async function startVirtualAccount(
  { host, subnets }: AccountPlace = somewhereOnLoopback(),
): Promise<VirtualAccount> {
  const directory = mkdtempSync(join(tmpdir(), "satellites-account-"));
  const vms = await VirtualVms.open({
    directory,
    image: LOCAL_IMAGE,
    tlsImage: LOCAL_TLS_IMAGE,
    delayMs: 50,
    clock: systemClock,
  });
  const model = new Ec2Model({
    region: LOCAL_REGION,
    network: defaultNetwork(LOCAL_REGION, subnets),
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    hypervisor: vms,
    guestSize: () => ({ vcpus: 1, memoryMiB: 384 }),
  });
  const parameters = { "/satellites/images/amd64": LOCAL_IMAGE };
  const endpoint = createEc2Endpoint({ model, clock: systemClock, logger: silentLogger, parameters });
  const holds = new Map<string, { readonly arrive: () => void; readonly released: Promise<void> }>();
  const server = await listenOn(
    host,
    async (request) => {
      const action = ec2Action(new URLSearchParams(request.body)) ?? "";
      const held = holds.get(action);
      if (held !== undefined) {
        holds.delete(action);
        held.arrive();
        await held.released;
      }
      return endpoint.handle(request);
    },
    { port: 0, logger: silentLogger },
  );
  return {
    url: server.url,
    endpoint,
    model,
    hold(action) {
      const [arrival, going] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      holds.set(action, { arrive: arrival.resolve, released: going.promise });
      return { arrived: arrival.promise, release: going.resolve };
    },
    async stop() {
      await server.close();
      await vms.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
