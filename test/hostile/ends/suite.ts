import { fingerprint, newIdentity } from "../../support/tls-vm.ts";
import { pause, seededRandom } from "../attack.ts";
import { Child } from "../child.ts";
import { GoodClient } from "../good-client.ts";
import { CONVERSATIONS } from "./conversations.ts";
import { clientHello, endHandshake, makeConnection, type RouterPlace } from "./ending-client.ts";
import { EndingVm } from "./ending-vm.ts";
import { describePlan, enumeratedPlans, patientPlan, randomPlan, shuffled, type EndPlan } from "./plan.ts";
import type { Census } from "./router-process.ts";
import { TlsRelay } from "./tls-relay.ts";

/** What is tried. */
export interface EndsOptions {
  readonly isTls: boolean;
  readonly seed: number;
  /** For how long connections are made. */
  readonly seconds: number;
  /** So many at least, also where a slow machine needs longer for them. */
  readonly minConnections?: number;
  /** Only conversations whose name begins so. */
  readonly only?: string;
}

/** What came of it. */
export interface EndsResult {
  readonly connections: number;
  /** Connections that the VM ended. */
  readonly endedByVm: number;
  /** Each end of the router's process, with the first line of its last words and what was under way. */
  readonly exits: readonly string[];
  /** Calls of the client that behaves that failed, and what the router still had open at the end. */
  readonly failures: readonly string[];
  /** Calls of the client that behaves that were answered. */
  readonly served: number;
}

const WORKERS = 24;
/** Every so many connections of a TLS listener end within their handshake. */
const HANDSHAKES = 10;
/** The client of every so many waits for an answer: if the VM ends its connection, then before the client does. */
const PATIENT = 3;
/** After so many exits it is clear. */
const MAX_EXITS = 10;
/** Between looks at what is still open, in milliseconds. */
const SETTLE_MS = 50;
/**
 * Longest time for which the router may keep a connection: it takes a half-close for what it is, until TCP asks after 30 s
 * whether the client is still there.
 */
const MAX_LINGER_MS = 45_000;

/** Makes connections that end in every way, on one router process after the other should one end. */
export async function runEnds(options: EndsOptions): Promise<EndsResult> {
  const { only = "", minConnections = 0 } = options;
  const random = seededRandom(options.seed);
  const conversations = CONVERSATIONS.filter(({ name }) => name.startsWith(only));
  const identity = options.isTls ? newIdentity("i-eve") : undefined;
  const tls = options.isTls
    ? { hello: await clientHello(), forClients: await TlsRelay.forClients() }
    : undefined;
  const forVm = identity === undefined ? undefined : await TlsRelay.forVm(identity);
  const vm = await Child.start("vm-process.ts");
  const endingVm = await EndingVm.start(random, forVm);
  const untilMs = performance.now() + options.seconds * 1000;
  const plans = shuffled(random, enumeratedPlans(conversations));
  let connections = 0;
  let served = 0;
  const exits: string[] = [];
  const failures: string[] = [];

  const next = (): EndPlan =>
    connections % PATIENT === 0
      ? patientPlan(random, conversations)
      : (plans.pop() ?? randomPlan(random, conversations));

  const goesOn = (): boolean => performance.now() < untilMs || connections < minConnections;

  async function worker(router: Child, place: RouterPlace, recent: string[]): Promise<void> {
    while (goesOn() && router.isAlive) {
      connections += 1;
      if (tls !== undefined && connections % HANDSHAKES === 0) {
        await endHandshake(tls.hello, router.port, random);
      } else {
        const plan = next();
        recent.push(describePlan(plan));
        recent.splice(0, recent.length - WORKERS);
        await makeConnection(plan, place);
      }
    }
  }

  /** One router process, to its end or to the end of the time. */
  async function life(): Promise<void> {
    let words = "";
    const router = await startRouter(
      options,
      { vm, endingVm, key: identity && fingerprint(identity) },
      (text) => {
        words += text;
      },
    );
    const place: RouterPlace = { port: router.port, tls: tls?.forClients };
    const client = new GoodClient(router.port, options.isTls);
    const recent: string[] = [];
    try {
      await Promise.all(Array.from({ length: WORKERS }, () => worker(router, place, recent)));
      endingVm.isTame = true;
      await client.settle();
      await client.stop();
      failures.push(...(await leaks(router)));
    } finally {
      if (!router.isAlive) {
        exits.push(`${errorIn(words)}; under way were\n    ${recent.join("\n    ")}`);
      }
      await router.stop();
      await client.stop();
      const taken = client.take();
      served += taken.succeeded;
      failures.push(...taken.failures.map((failure) => `the client that behaves: ${failure}`));
    }
  }

  try {
    do {
      await life();
    } while (goesOn() && exits.length < MAX_EXITS);
  } finally {
    await vm.stop();
    await endingVm.stop();
    forVm?.stop();
    tls?.forClients.stop();
  }
  return { connections, endedByVm: endingVm.ended, exits, failures, served };
}

function startRouter(
  { isTls }: EndsOptions,
  vms: { readonly vm: Child; readonly endingVm: EndingVm; readonly key: string | undefined },
  onError: (text: string) => void,
): Promise<Child> {
  const { vm, endingVm, key } = vms;
  return Child.start(
    "ends/router-process.ts",
    [isTls ? "tls" : "plain", String(vm.port), String(endingVm.port), ...(key === undefined ? [] : [key])],
    onError,
  );
}

/** What a router without clients still has open. */
async function leaks(router: Child): Promise<string[]> {
  const deadline = performance.now() + MAX_LINGER_MS;
  let census: Census;
  do {
    await pause(SETTLE_MS);
    if (!router.isAlive) {
      return [];
    }
    census = await router.ask<Census>();
    if (census.streams === 0 && census.held === 0 && census.sockets === 0) {
      return [];
    }
  } while (performance.now() < deadline);
  return [
    `behind its last client the router keeps ${census.streams} streams, ${census.held} held requests and ` +
      `${census.sockets} connections`,
  ];
}

function errorIn(words: string): string {
  return words.split("\n").find((line) => /^\w*Error\b/.test(line)) ?? words.slice(-300);
}
