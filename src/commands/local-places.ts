import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sleep, type Clock } from "../base/clock.ts";
import type { Random } from "../base/backoff.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { holdPort, type HeldPort } from "../local/held-port.ts";

/** Where the programs of a local system listen, on 127.0.0.1. */
export interface Ports {
  readonly kubernetes: number;
  readonly ec2: number;
  readonly router: number;
  readonly operatorHealth: number;
  readonly routerHealth: number;
  readonly page: number;
}

/** Ports and addresses that a local system keeps, so that clients, kubeconfigs and VMs stay where they are. */
export interface LocalPlaces {
  readonly ports: Ports;
  /** Blocks of loopback addresses for VMs, one for each zone. */
  readonly subnets: readonly [string, string];
}

/** How {@link choosePlaces} chooses. */
export interface PlacesOptions {
  readonly stateDir: string;
  /** Where clients connect to the router; 0 for the port of the last run, or a free one. */
  readonly routerPort: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly progress: (line: string) => void;
}

const NAMES = ["kubernetes", "ec2", "router", "operatorHealth", "routerHealth", "page"] as const;
/** What a program is called in messages. */
const TITLES: Readonly<Record<keyof Ports, string>> = {
  kubernetes: "the Kubernetes API server",
  ec2: "the EC2 endpoint",
  router: "the router",
  operatorHealth: "the operator's metrics",
  routerHealth: "the router's metrics",
  page: "the page",
};
/**
 * The programs of a `satellites local` that was killed end by themselves within this time. The router is the last: it
 * gives streams 5 s (local-programs.ts) and tries for 10 s to withdraw its leases, while the API server ends, too.
 */
const RELEASE_TIMEOUT_MS = 20_000;
const RELEASE_POLL_MS = 100;

/**
 * The ports and addresses of the last run; free ones at first. Two systems on one machine get different
 * addresses for their VMs, since one must never take the other's VM for its own.
 *
 * @throws SatelliteError `PortInUse` when somebody else listens on one of the ports
 */
export async function choosePlaces(options: PlacesOptions): Promise<LocalPlaces> {
  const file = join(options.stateDir, "places.json");
  const known = await readPlaces(file);
  const chosen: Record<string, number> = {};
  const held: HeldPort[] = [];
  try {
    for (const name of NAMES) {
      const given = name === "router" ? options.routerPort : 0;
      const port = await takePort(name, given, known?.ports[name] ?? 0, options);
      held.push(port);
      chosen[name] = port.port;
    }
  } finally {
    await Promise.all(held.map((port) => port.release()));
  }
  const places: LocalPlaces = {
    ports: chosen as unknown as Ports,
    subnets: known?.subnets ?? chooseSubnets(options.random),
  };
  await writeFile(file, JSON.stringify(places));
  return places;
}

async function readPlaces(file: string): Promise<LocalPlaces | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (Reflect.get(toError(error), "code") === "ENOENT") {
      return undefined;
    }
    throw error;
  }
  try {
    return JSON.parse(text) as LocalPlaces;
  } catch (error) {
    throw new SatelliteError(
      "PlacesUnreadable",
      `${file} is damaged; remove it to have all ports chosen anew`,
      { cause: error },
    );
  }
}

/** Two neighbouring blocks somewhere in 127.0.0.0/8, which is all loopback (RFC 1122, section 3.2.1.3). */
function chooseSubnets(random: Random): readonly [string, string] {
  const second = 64 + Math.floor(random() * 128);
  const third = 2 * Math.floor(random() * 127);
  return [`127.${second}.${third}.0/24`, `127.${second}.${third + 1}.0/24`];
}

/**
 * Takes a port. The port of the last run is waited for: after `satellites local` was killed, its programs need a moment
 * to notice that.
 */
async function takePort(
  name: keyof Ports,
  given: number,
  lastRun: number,
  { clock, stateDir, progress }: PlacesOptions,
): Promise<HeldPort> {
  const port = given === 0 ? lastRun : given;
  const untilMs = clock.monotonicMs() + (port === lastRun ? RELEASE_TIMEOUT_MS : 0);
  for (let attempt = 0; ; attempt++) {
    try {
      return await holdPort(port);
    } catch (error) {
      const cause = toError(error);
      if (Reflect.get(cause, "code") !== "EADDRINUSE" || clock.monotonicMs() >= untilMs) {
        throw cannotListen(name, port, stateDir, cause);
      }
    }
    if (attempt === 0) {
      progress(`port ${port} of the last run is in use; waiting until it is free`);
    }
    await sleep(clock, RELEASE_POLL_MS);
  }
}

function cannotListen(name: keyof Ports, port: number, stateDir: string, cause: Error): SatelliteError {
  const isUsed = Reflect.get(cause, "code") === "EADDRINUSE";
  const other = name === "router" ? "choose another with --router-port, or " : "";
  return isUsed
    ? new SatelliteError(
        "PortInUse",
        `port ${port} for ${TITLES[name]} is in use on 127.0.0.1: stop what listens there ` +
          `("ss -ltnp sport = :${port}" names it), ${other}` +
          `remove ${join(stateDir, "places.json")} to have all ports chosen anew`,
        { cause },
      )
    : new SatelliteError("CannotListen", `cannot listen on 127.0.0.1:${port}: ${cause.message}`, { cause });
}
