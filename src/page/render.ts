import type { Phase } from "../satellite/resource.ts";
import type { FleetSummary, Money } from "./fleet-summary.ts";
import type { FleetView } from "./fleet.ts";
import { html, type Html } from "./html.ts";
import type { Transition } from "./phase-history.ts";
import type { SatelliteRow } from "./satellite-row.ts";

/** From what is used to what is not, as the bar shows them. */
const PHASES: readonly Phase[] = [
  "Running",
  "Launching",
  "Waking",
  "Pending",
  "Updating",
  "Draining",
  "Stopping",
  "Deleting",
  "Failed",
  "Asleep",
];

/** The whole document; without JavaScript it shows the state of this moment. */
export function renderDocument(view: FleetView): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>Satellites</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="assets/page.css" />
        <script type="module" src="assets/page.js"></script>
      </head>
      <body>
        <header>
          <h1>Satellites</h1>
          ${namespaceForm(view)}
          <p id="state" role="status">as of ${time(view.now)}</p>
        </header>
        <main>
          <section aria-label="At a glance" id="glance">${renderGlance(view.summary)}</section>
          <section aria-labelledby="timeline-title">
            <h2 id="timeline-title">Phases over time</h2>
            <p class="note">Since ${time(view.since)}, when this process began to watch; a day at most.</p>
            <div id="timeline">
              <p class="note">
                The timeline needs JavaScript. All else is here without; reload to see what is new.
              </p>
            </div>
          </section>
          <section aria-labelledby="table-title">
            <h2 id="table-title">All satellites</h2>
            <table role="table" aria-labelledby="table-title">
              <thead role="rowgroup">
                <tr role="row">
                  ${HEADERS.map((title) => html`<th role="columnheader" scope="col">${title}</th>`)}
                </tr>
              </thead>
              <tbody role="rowgroup" id="rows">
                ${view.rows.map(renderRow)}
              </tbody>
            </table>
            <p class="note" id="rest">${renderRest(view)}</p>
          </section>
          <section aria-labelledby="changes-title">
            <h2 id="changes-title">Latest changes</h2>
            <ol id="changes">
              ${renderChanges(view.changes)}
            </ol>
          </section>
        </main>
      </body>
    </html> `;
}

const HEADERS = ["Satellite", "Phase", "Power", "Since", "Held awake by", "Streams", "Reason"];

function namespaceForm({ namespaces, namespace }: FleetView): Html | undefined {
  const known =
    namespace === undefined || namespaces.includes(namespace) ? namespaces : [namespace, ...namespaces];
  if (known.length < 2) {
    return undefined;
  }
  const option = (name: string): Html =>
    name === namespace ? html`<option selected>${name}</option>` : html`<option>${name}</option>`;
  return html`<form>
    <label
      >Namespace
      <select name="namespace">
        <option value="">all</option>
        ${known.map(option)}
      </select></label
    >
    <button>Show</button>
  </form>`;
}

/** Numbers that are looked at first. */
export function renderGlance(summary: FleetSummary): Html {
  const { total, awake, asleep, wakes, byPhase } = summary;
  const failed = byPhase.get("Failed") ?? 0;
  return html`<dl class="tiles">
      ${tile("Awake", count(awake), `of ${count(total)}; ${count(wakes)} ${wakes === 1 ? "wake" : "wakes"}`)}
      ${tile("Asleep", count(asleep), sleptNote(summary))}
      ${tile("Failed", count(failed), failed === 0 ? "nothing to do" : "see the reasons below", failed > 0)}
      ${moneyTiles(summary)}
    </dl>
    ${phaseBar(summary)}`;
}

function tile(title: string, value: string, note: string, isBad = false): Html {
  return html`<div${isBad ? html` class="bad"` : ""}><dt>${title}</dt><dd><b>${value}</b> <span>${note}</span></dd></div>`;
}

function sleptNote({ awakeHours, asleepHours }: FleetSummary): string {
  const all = awakeHours + asleepHours;
  return all === 0 ? "never yet" : `${((100 * asleepHours) / all).toFixed(0)} % of the time`;
}

function moneyTiles({ money, asleepHours }: FleetSummary): Html | readonly Html[] {
  if (money.length === 0) {
    return tile("Slept", hours(asleepHours), "in all; no class has prices");
  }
  return money.flatMap(({ currency, perHour, perHourAwake, saved }: Money) => [
    tile("Costs now", amount(perHour), `${currency}/h; ${amount(perHourAwake)} all awake`),
    tile("Saved", amount(saved), `${currency} by ${hours(asleepHours)} of sleep`),
  ]);
}

const count = (value: number): string => value.toLocaleString("en");
const hours = (value: number): string =>
  value < 1
    ? `${(60 * value).toFixed(0)} min`
    : `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 })} h`;

/** Small fleets cost little: up to four decimals. */
function amount(value: number): string {
  if (value > 0 && value < 0.0001) {
    return "< 0.0001";
  }
  const digits = value < 1 && value > 0 ? 4 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: digits });
}

/** Shares of the phases, with their numbers beside it; an SVG, since the policy lets no style attributes pass. */
function phaseBar({ byPhase, total }: FleetSummary): Html {
  const present = PHASES.filter((phase) => byPhase.has(phase));
  let x = 0;
  const parts = present.map((phase) => {
    const width = (100 * (byPhase.get(phase) ?? 0)) / total;
    const part = html`<rect class="${phase}" x="${x}" width="${width}" height="1" />`;
    x += width;
    return part;
  });
  return html`<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
      ${parts}
    </svg>
    <ul class="legend">
      ${present.map((phase) => html`<li><i class="${phase}"></i>${phase} <b>${count(byPhase.get(phase) ?? 0)}</b></li>`)}
    </ul>`;
}

/** A row of the table; its cells name their column, for narrow screens. */
export function renderRow(row: SatelliteRow): Html {
  const { key, namespace, name, phase, power, since, holders, streams, trouble } = row;
  const callers = holders.map((holder) => html`<span class="line">${holder}</span>`);
  const why = trouble === undefined ? "" : html`<b>${trouble.reason}</b> ${trouble.message}`;
  return html`<tr role="row" data-key="${key}">
    <th role="rowheader" scope="row">
      <span class="namespace">${namespace}/</span><wbr /><span>${name}</span>
    </th>
    ${cell("Phase", html`<i class="${phase}"></i>${phase}`)} ${cell("Power", power)}
    ${cell("Since", since === undefined ? "" : time(since))} ${cell("Held awake by", callers)}
    ${cell("Streams", streams === 0 ? "" : String(streams))} ${cell("Reason", why)}
  </tr>`;
}

/** Nothing stands in an empty one, so that narrow screens can leave it out. */
function cell(title: string, content: Html | string | readonly Html[]): Html {
  return html`<td role="cell" data-title="${title}">${content}</td>`;
}

/** How many satellites have no row. */
export function renderRest({ summary: { total }, rows }: FleetView): string {
  if (total === 0) {
    return "There are none yet.";
  }
  const rest = total - rows.length;
  return rest === 0
    ? ""
    : `${count(rest)} more are not shown; choose a namespace, or use kubectl get satellites.`;
}

/** The last changes of phase, the newest first. */
export function renderChanges(changes: readonly Transition[]): Html {
  return html`${changes.map(
    ({ key, from, phase, atMs, afterMs }) =>
      html`<li>
        ${time(new Date(atMs))} <span class="key">${key}</span>
        <span class="change"
          ><i class="${from}"></i>${from} for ${duration(afterMs)}, then
          <i class="${phase}"></i>${phase}</span
        >
      </li>`,
  )}`;
}

/** Seconds where it is short. */
function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 100) {
    return `${seconds.toFixed(1)} s`;
  }
  const minutes = seconds / 60;
  return minutes < 100 ? `${minutes.toFixed(0)} min` : `${(minutes / 60).toFixed(1)} h`;
}

/** Universal time; the browser's script shows how long ago, and the viewer's own time. */
function time(at: Date | string): Html {
  const iso = typeof at === "string" ? at : at.toISOString();
  return html`<time datetime="${iso}">${iso.replace("T", " ").replace(/(?:\.\d+)?Z$/, " UTC")}</time>`;
}
