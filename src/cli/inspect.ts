import { parseDurationMs } from "../base/duration.ts";
import { KubeError } from "../kube/errors.ts";
import type { KubeObject } from "../kube/objects.ts";
import { EVENT } from "../kube/resources.ts";
import { findCondition } from "../satellite/conditions.ts";
import { Annotation, isPaused, SATELLITE_CLASSES, SATELLITES } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import { usageRates } from "../satellite/usage-rates.ts";
import type { Connection } from "./connect.ts";
import type { CliContext } from "./context.ts";
import type { SatelliteKey } from "./follow.ts";
import { accountOf } from "./savings/usage.ts";
import { age, columnsOf, counted, shortDuration, type Style, styleFor, wrap } from "./style.ts";

/** A core/v1 Event, as far as the page shows it. */
export interface ShownEvent extends KubeObject {
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTimestamp?: string | null;
  readonly eventTime?: string | null;
  readonly count?: number;
}

type BuildkitStatus = NonNullable<NonNullable<Satellite["status"]["machine"]>["buildkit"]>;

/** Most events that are shown. */
const MAX_EVENTS = 8;
const LABEL_WIDTH = 12;
const DEFAULT_COLUMNS = 100;

/** Writes one page about a satellite. */
export async function inspect(target: Connection & SatelliteKey, context: CliContext): Promise<void> {
  const { client, namespace } = target;
  const satellite = await client.get<Satellite>(SATELLITES, target);
  const selector = `involvedObject.kind=${SATELLITES.kind},involvedObject.name=${target.name}`;
  let events: readonly ShownEvent[] | string;
  try {
    events = (await client.list<ShownEvent>(EVENT, { namespace, fieldSelector: selector })).items;
  } catch (error) {
    if (!(error instanceof KubeError)) {
      throw error;
    }
    events = `cannot be read: ${error.message}`;
  }
  const view = {
    satelliteClass: await classOf(satellite, client),
    now: context.clock.now(),
    style: styleFor(context.out, context),
    columns: columnsOf(context.out, DEFAULT_COLUMNS),
  };
  const lines = renderPage(satellite, events, view).split("\n");
  context.out.write(lines.map((line) => wrap(line, context.out, LABEL_WIDTH + 2)).join("\n"));
}

/** The class, where it can be read: many may read satellites alone. */
async function classOf(
  { spec }: Satellite,
  client: Connection["client"],
): Promise<SatelliteClass | undefined> {
  try {
    return await client.get<SatelliteClass>(SATELLITE_CLASSES, { name: spec.className });
  } catch (error) {
    if (error instanceof KubeError) {
      return undefined;
    }
    throw error;
  }
}

/** How a page is drawn. */
export interface PageView {
  /** The class, whose prices are shown. */
  readonly satelliteClass: SatelliteClass | undefined;
  readonly now: Date;
  readonly style: Style;
  /** Width of the terminal. */
  readonly columns: number;
}

/** The page: what a person asks first, first. */
export function renderPage(
  satellite: Satellite,
  events: readonly ShownEvent[] | string,
  view: PageView,
): string {
  const { style } = view;
  const sections: [title: string, lines: readonly string[]][] = [
    ["Power", powerLines(satellite, view)],
    ["Held awake", holders(satellite, view)],
    ["Machine", machineLines(satellite, view)],
    ["Usage", usageLines(satellite, view)],
    ["Conditions", conditionLines(satellite, view)],
    ["Last events", eventLines(events, view)],
    ["Next", nextSteps(satellite)],
  ];
  const { namespace = "", name } = satellite.metadata;
  const title = `${style.bold(`${namespace}/${name}`)}  ${phaseText(satellite, style)}`;
  const body = sections
    .filter(([, lines]) => lines.length > 0)
    .map(([heading, lines]) => `\n${style.bold(heading)}\n${lines.map((line) => `  ${line}\n`).join("")}`);
  return `${title}\n${body.join("")}`;
}

function phaseText({ status }: Satellite, style: Style): string {
  const phase = status.phase ?? "Pending";
  const colour =
    phase === "Failed" ? style.bad : phase === "Running" || phase === "Asleep" ? style.good : style.warn;
  return colour(phase);
}

const row = (label: string, text: string): string => `${label.padEnd(LABEL_WIDTH - 2)}  ${text}`;

function powerLines(satellite: Satellite, { now }: PageView): string[] {
  const { spec, status } = satellite;
  const { power, sleep } = status;
  const ready = findCondition(status.conditions, "Ready");
  const state =
    power === undefined
      ? "not looked at yet by the operator"
      : power.since === undefined
        ? power.state
        : `${power.state} for ${age(power.since, now)}`;
  const reason = power?.reason === undefined ? "" : `, because of ${power.reason}`;
  const isOnItsWay = power?.state === "Starting" || power?.state === "Stopping";
  const accepted = isOnItsWay && !power.accepted ? ", the cloud has not accepted it yet" : "";
  return [
    row("wished", `${spec.desiredPower}${isPaused(satellite) ? " (paused: nobody acts on it)" : ""}`),
    row("is", `${state}${reason}${accepted}`),
    ...(sleep === undefined
      ? []
      : [
          row(
            "sleeps",
            `${sleep.kind} for ${age(sleep.since, now)}${sleep.reason === undefined ? "" : ` (${sleep.reason})`}`,
          ),
        ]),
    ...(ready === undefined
      ? []
      : [row("why", `${ready.reason}${ready.message === "" ? "" : `: ${ready.message}`}`)]),
    ...(status.attempts === undefined
      ? []
      : [row("tried", `${status.attempts.failed} times in vain, again at ${status.attempts.retryAt}`)]),
  ];
}

/** Who keeps it from sleeping; nothing while it is wished off. */
function holders({ spec, status, metadata }: Satellite, { now }: PageView): string[] {
  if (spec.desiredPower === "off") {
    return [];
  }
  const routers = Object.entries(status.activity ?? {}).map(([router, lease]) => {
    const secondsAgo = (now.getTime() - Date.parse(lease.time)) / 1000;
    const isLive = secondsAgo <= lease.validSeconds;
    const streams = counted(lease.openStreams, "open stream");
    const lapsed = isLive ? "" : ", and its lease has run out: it holds nothing";
    const by = lease.oldestStream;
    const holder =
      by === undefined ? "" : `, ${by.user ?? "somebody"} by ${by.method} for ${age(by.since, now)}`;
    return row(router, `${streams}${holder}, said ${age(lease.time, now)} ago${lapsed}`);
  });
  const until = metadata.annotations?.[Annotation.keepAwakeUntil];
  const idleMs = parseDurationMs(spec.idleTimeout);
  const idle =
    idleMs === 0
      ? "idleTimeout is 0s: it never sleeps by itself"
      : `${status.lastActiveTime === undefined ? "not used yet" : `last used ${age(status.lastActiveTime, now)} ago`}, sleeps after ${spec.idleTimeout} without a request`;
  return [
    ...routers,
    ...(until === undefined ? [] : [row("annotation", `${Annotation.keepAwakeUntil}: ${until}`)]),
    ...(spec.wakeSchedule === undefined ? [] : [row("schedule", spec.wakeSchedule.join("; "))]),
    row("idle", idle),
  ];
}

function machineLines({ spec, status }: Satellite, { now }: PageView): string[] {
  const { machine, endpoint, volume } = status;
  if (machine === undefined) {
    return [`none yet; class ${spec.className}, ${spec.architecture}`];
  }
  const parts = [machine.type, machine.size, machine.zone].filter((part) => part !== undefined);
  return [
    row("instance", `${machine.id}  ${parts.join("  ")}`),
    row("class", `${spec.className}, ${spec.architecture}`),
    ...(machine.image === undefined ? [] : [row("image", machine.image)]),
    ...(machine.launchedAt === undefined ? [] : [row("launched", `${age(machine.launchedAt, now)} ago`)]),
    ...(endpoint === undefined
      ? []
      : [
          row(
            "address",
            `${endpoint.host}:${endpoint.port}, ${endpoint.tlsFingerprint === undefined ? "plain text" : "TLS by its own key"}`,
          ),
        ]),
    ...(machine.buildkit === undefined ? [] : [row("buildkit", buildkitText(machine.buildkit))]),
    ...(volume?.id === undefined
      ? []
      : [row("disk", `${volume.id}, ${volume.sizeGiB ?? "?"} GiB ${volume.type ?? ""}`)]),
  ];
}

function buildkitText({ version, cacheBytes, cacheMaxBytes }: BuildkitStatus): string {
  const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
  const bound = cacheMaxBytes === undefined ? "" : ` of at most ${gib(cacheMaxBytes)}`;
  return cacheBytes === undefined ? version : `${version}, cache ${gib(cacheBytes)} GiB${bound}`;
}

function usageLines(satellite: Satellite, { now, satelliteClass }: PageView): string[] {
  const { awakeSeconds, asleepSeconds, wakes } = accountOf(satellite, now);
  const all = awakeSeconds + asleepSeconds;
  if (all === 0) {
    return [];
  }
  const share = ` (${Math.round((100 * asleepSeconds) / all)} % of its time)`;
  return [
    row(
      "time",
      `awake ${shortDuration(awakeSeconds)}, asleep ${shortDuration(asleepSeconds)}${share}, ${counted(wakes, "wake")}`,
    ),
    ...costLines(satellite, { awakeSeconds, asleepSeconds }, satelliteClass),
  ];
}

/** What it costs in each state and came to, by the prices of its class. */
function costLines(
  satellite: Satellite,
  { awakeSeconds, asleepSeconds }: { readonly awakeSeconds: number; readonly asleepSeconds: number },
  prices: SatelliteClass | undefined,
): string[] {
  // A machine of an older class may have another disk, which its cloud alone can read from what the operator stored.
  const diskGiB = prices?.status?.diskGiB ?? 0;
  const [awake, asleep] = [
    usageRates("awake", satellite, prices, diskGiB),
    usageRates("asleep", satellite, prices, diskGiB),
  ];
  const { currency } = awake;
  if (prices === undefined) {
    return [];
  }
  if (currency === undefined || awake.isUnpriced) {
    const type = satellite.status.machine?.type ?? "its type";
    return [row("cost", `class ${prices.metadata.name} has no price of ${type} (spec.prices.perHour)`)];
  }
  const perHour = (rate: number): string => `${(3600 * rate).toFixed(4)} ${currency}/h`;
  const sum = (amount: number): string => `${amount.toFixed(2)} ${currency}`;
  const paid = awakeSeconds * awake.machine + (awakeSeconds + asleepSeconds) * awake.storage;
  return [
    row("cost", `awake ${perHour(awake.machine + awake.storage)}, asleep ${perHour(asleep.storage)}`),
    row("so far", `${sum(paid)}; sleeping saved ${sum(asleepSeconds * asleep.saved)}`),
  ];
}

function conditionLines({ status }: Satellite, { now, style }: PageView): string[] {
  const conditions = [...(status.conditions ?? [])].toSorted(
    (left, right) => Date.parse(right.lastTransitionTime) - Date.parse(left.lastTransitionTime),
  );
  return conditions.map(({ type, status: value, reason, message, lastTransitionTime }) => {
    const isBad =
      type === "Stalled" ? value === "True" : value === "False" && type !== "Awake" && type !== "Reconciling";
    const text = `${value.padEnd(8)}${age(lastTransitionTime, now).padEnd(8)}${reason}`;
    return `${type.padEnd(20)}${isBad ? style.warn(text) : text}${isBad && message !== "" ? `: ${message}` : ""}`;
  });
}

function eventLines(events: readonly ShownEvent[] | string, { now, style, columns }: PageView): string[] {
  if (typeof events === "string") {
    return [events];
  }
  const timeOf = (event: ShownEvent): string =>
    event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp ?? "";
  return (
    events
      // Of one second the last is first, too.
      .toReversed()
      .toSorted((left, right) => Date.parse(timeOf(right)) - Date.parse(timeOf(left)))
      .slice(0, MAX_EVENTS)
      .map((event) => {
        const times = (event.count ?? 1) > 1 ? ` (${event.count} times)` : "";
        const text = `${event.reason ?? ""}${times}: ${event.message ?? ""}`;
        const width = Math.max(40, columns - 12);
        const line = text.length > width ? `${text.slice(0, width - 1)}…` : text;
        return `${age(timeOf(event), now).padEnd(8)}${event.type === "Warning" ? style.warn(line) : line}`;
      })
  );
}

/** What a person types next. */
export function nextSteps(satellite: Satellite): string[] {
  const { spec, status, metadata } = satellite;
  const { name } = metadata;
  const of = metadata.namespace === undefined ? "" : ` -n ${metadata.namespace}`;
  const command = (words: string): string => `kubectl satellite ${words} ${name}${of}`;
  if (metadata.deletionTimestamp !== undefined) {
    return ["it is being deleted; it goes when its machine is dealt with"];
  }
  if (isPaused(satellite)) {
    return [`kubectl annotate satellite ${name}${of} ${Annotation.paused}-`];
  }
  if (status.phase === "Failed" || findCondition(status.conditions, "Stalled")?.status === "True") {
    return ["only a person can help: do what Ready says above", `kubectl describe satellite ${name}${of}`];
  }
  if (spec.desiredPower === "off") {
    return [
      `${command("wake")}${spec.wakePolicy === "Manual" ? "   (wakePolicy is Manual: no request wakes it)" : ""}`,
      ...(spec.wakePolicy === "Manual" ? [] : [`${command("proxy")}   (a request wakes it)`]),
    ];
  }
  return [command("proxy"), command("sleep")];
}
