import { Registry } from "@prometheus-io/client";
import type { Clock } from "../../../src/base/clock.ts";
import {
  createEc2Endpoint,
  type Ec2Endpoint,
  type Ec2EndpointOptions,
} from "../../../src/local/ec2/endpoint.ts";
import { Ec2Model, type Ec2ModelOptions } from "../../../src/local/ec2/model.ts";
import {
  VirtualHypervisor,
  type VirtualHypervisorScript,
} from "../../../src/local/ec2/virtual-hypervisor.ts";
import { createEc2Cloud, type Ec2Cloud, type Ec2CloudOptions } from "../../../src/machines/ec2/ec2-cloud.ts";
import type { LaunchPlan, LaunchRequest, Machine } from "../../../src/machines/cloud.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

export const REGION = "eu-west-1";
export const CLUSTER = "0d6b2f6e-0000-4000-8000-00000000c105";
export const AMD64_IMAGE = "ami-0077000000000000a";
export const ARM64_IMAGE = "ami-0077000000000000b";
export const CREDENTIALS = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "example" };

/** `spec.ec2` of a class that fits the model. */
export const CLASS = {
  region: REGION,
  image: { nameFilter: "satellites/demo/*" },
  subnets: { tags: { "satellites.dev/network": "local" } },
  securityGroups: { tags: { "satellites.dev/network": "local" } },
  rootVolume: { sizeGiB: 10, type: "gp3" },
  tags: { team: "a" },
};

/** A small generator of random numbers; the same seed gives the same numbers. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

export interface AccountOptions {
  readonly model?: Partial<Ec2ModelOptions>;
  readonly endpoint?: Partial<Ec2EndpointOptions>;
  readonly cloud?: Partial<Ec2CloudOptions>;
  readonly script?: Partial<VirtualHypervisorScript>;
  readonly clock?: VirtualClock;
}

/** An EC2 model and a cloud that talks to it in process, through the real SDK, in virtual time. */
export interface Account {
  readonly clock: VirtualClock;
  readonly hypervisor: VirtualHypervisor;
  readonly model: Ec2Model;
  readonly endpoint: Ec2Endpoint;
  readonly cloud: Ec2Cloud;
  readonly registry: Registry;
  /** Moves time on until `work` settles. */
  run<T>(work: Promise<T>): Promise<T>;
}

export function createAccount(options: AccountOptions = {}): Account {
  const clock = options.clock ?? new VirtualClock();
  const hypervisor = new VirtualHypervisor(clock, options.script);
  const base = { region: REGION, clock: clock as Clock, logger: silentLogger };
  const model = new Ec2Model({ ...base, random: seeded(1), hypervisor, ...options.model });
  const endpoint = createEc2Endpoint({ model, clock, logger: silentLogger, ...options.endpoint });
  const registry = new Registry();
  const cloud = createEc2Cloud({
    ...base,
    cluster: CLUSTER,
    random: seeded(2),
    registry,
    credentials: CREDENTIALS,
    transport: endpoint.handle,
    ...options.cloud,
  });
  return { clock, hypervisor, model, endpoint, cloud, registry, run: (work) => runInTime(clock, work) };
}

/** Moves `clock` from timer to timer until `work` settles, at most a day. */
export async function runInTime<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  const progress = { settled: false };
  void Promise.allSettled([work]).then(() => (progress.settled = true));
  const untilMs = clock.monotonicMs() + 86_400_000;
  await clock.settle();
  while (!progress.settled && clock.monotonicMs() < untilMs) {
    const nextMs = clock.nextDueMs();
    await clock.advance(nextMs === undefined ? 0 : Math.max(0, nextMs - clock.monotonicMs()));
  }
  return work;
}

export function launchRequest(overrides: Partial<LaunchRequest> = {}): LaunchRequest {
  return {
    owner: { namespace: "team-a", name: "ada", uid: "11111111-0000-4000-8000-000000000001" },
    classSpec: { ec2: CLASS },
    architecture: "amd64",
    types: ["m7i.large"],
    hibernate: true,
    attempt: 0,
    combination: 0,
    userData: "#!/bin/sh\necho up\n",
    ...overrides,
  };
}

/** Launches one machine and lets it come up. */
export async function launchOne(
  account: Account,
  overrides: Partial<LaunchRequest> = {},
): Promise<{ readonly machine: Machine; readonly plan: LaunchPlan }> {
  const request = launchRequest(overrides);
  const { plan } = await account.run(account.cloud.resolve(request));
  const machine = await account.run(account.cloud.launch(plan, request.userData));
  await account.run(account.model.settled());
  return { machine, plan };
}
