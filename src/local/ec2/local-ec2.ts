import { join } from "node:path";
import type { Random } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { createEc2Endpoint, type Ec2Endpoint } from "./endpoint.ts";
import { listenOnLoopback } from "./http-server.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { fileStore } from "./instance-store.ts";
import type { GuestSize, InstanceType } from "./instance-types.ts";
import { Ec2Model } from "./model.ts";
import type { ActionLimit } from "./request-buckets.ts";

/** What an EC2 of one's own is made of. */
export interface LocalEc2Options {
  readonly region: string;
  /** Port on loopback; 0 takes a free one. */
  readonly port: number;
  /** Folder that keeps the instances and the request log; created when it is missing. */
  readonly stateDir: string;
  readonly hypervisor: Hypervisor;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** What a guest of a type really gets. Default: all that the type promises. */
  readonly guestSize?: (type: InstanceType) => GuestSize;
  /** Values of the SSM parameter store by name. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Request limits by action. Default none. */
  readonly limits?: Readonly<Record<string, ActionLimit>>;
}

/** An EC2 endpoint that listens. */
export interface LocalEc2 {
  /** e.g. `http://127.0.0.1:4566`. */
  readonly url: string;
  readonly model: Ec2Model;
  readonly endpoint: Ec2Endpoint;
  /** Stops listening; instances and their VMs stay. */
  close(): Promise<void>;
}

/**
 * Starts an EC2 endpoint over a hypervisor, with the instances that its state folder holds.
 *
 * @throws SatelliteError `PortInUse`, or `InstanceStateUnreadable`
 */
export async function startLocalEc2(options: LocalEc2Options): Promise<LocalEc2> {
  const { region, hypervisor, clock, random, logger, guestSize, limits, parameters } = options;
  const store = fileStore(join(options.stateDir, "instances"));
  const sized = guestSize === undefined ? {} : { guestSize };
  const model = new Ec2Model({ region, clock, random, logger, hypervisor, store, ...sized });
  const endpoint = createEc2Endpoint({
    model,
    clock,
    logger,
    logFile: join(options.stateDir, "calls.jsonl"),
    ...(limits === undefined ? {} : { limits }),
    ...(parameters === undefined ? {} : { parameters }),
  });
  // The port first: two of these over one folder must not both carry on what was under way.
  let restored: Promise<void> | undefined;
  const server = await listenOnLoopback(
    async (request) => {
      await restored;
      return endpoint.handle(request);
    },
    { port: options.port, logger },
  );
  restored = model.restore();
  await restored;
  return {
    url: server.url,
    model,
    endpoint,
    close: async () => {
      model.close();
      await server.close();
    },
  };
}
