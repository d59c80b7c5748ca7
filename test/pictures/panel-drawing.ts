import { html, type Html } from "../../src/page/html.ts";
import { asSent, type Panel } from "../monitoring/chart.ts";
import { legendOf, type RunQuery } from "../monitoring/panel-faults.ts";

const WIDTH = 560;
const HEIGHT = 200;
const GAP = 16;
const PLOT = { left: 58, top: 34, width: 486, height: 108 };
const COLOURS = 6;
const RATE_INTERVAL = "15s";
const MIB = 2 ** 20;

interface Line {
  readonly legend: string;
  readonly points: readonly (readonly [number, number])[];
  readonly highest: number;
}

/** All panels, two in a row as Grafana has them, in one SVG that is light or dark as its viewer is. */
export async function drawPanels(panels: readonly Panel[], run: RunQuery): Promise<string> {
  const drawn: Html[] = [];
  for (const [index, panel] of panels.entries()) {
    const x = (index % 2) * (WIDTH + GAP);
    const y = Math.floor(index / 2) * (HEIGHT + GAP);
    drawn.push(html`<g transform="translate(${x} ${y})">${await drawPanel(panel, run)}</g>`);
  }
  const size = [2 * WIDTH + GAP, Math.ceil(panels.length / 2) * (HEIGHT + GAP) - GAP];
  const text = html`<svg
    xmlns="http://www.w3.org/2000/svg"
    viewBox="0 0 ${size.join(" ")}"
    width="${size[0]}"
  >
    <title>The dashboard of Satellites, by a Prometheus that scraped them for two minutes</title>
    <style>
      ${STYLE}
    </style>
    ${drawn}
  </svg>`.text;
  return `${text.replaceAll(/\n\s*/g, "\n")}\n`;
}

const LIGHT = ["#2f7fd0", "#229a63", "#d98324", "#8b5fd6", "#cf3b3f", "#5a626c"];
const DARK = ["#5a9be6", "#37b47a", "#e6a14a", "#a98be6", "#e5686c", "#9ca6b1"];
const colours = (values: readonly string[]): string =>
  values.map((value, index) => `.c${index}{--c:${value}}`).join("");
const STYLE = `text{font:11px system-ui,sans-serif;fill:#5a626c}.t{font-size:13px;font-weight:600;fill:#1b1f24}
.p{fill:#fff;stroke:#e2e4e8}.g{stroke:#e2e4e8}.l{fill:none;stroke:var(--c);stroke-width:1.5}.a{fill:var(--c);fill-opacity:.35;stroke:var(--c)}.k{fill:var(--c)}
${colours(LIGHT)}
@media(prefers-color-scheme:dark){text{fill:#9ca6b1}.t{fill:#e7eaee}.p{fill:#171b20;stroke:#2a3037}.g{stroke:#2a3037}${colours(DARK)}}`;

async function drawPanel(panel: Panel, run: RunQuery): Promise<Html> {
  const all = await linesOf(panel, run);
  const shown = all.slice(0, COLOURS);
  const isStacked = panel.fieldConfig.defaults.custom.stacking?.mode === "normal";
  const stacked = isStacked ? stack(shown) : shown.map((line) => ({ ...line, below: undefined }));
  const { unit } = panel.fieldConfig.defaults;
  const peak = Math.max(0, ...stacked.flatMap(({ points }) => points.map(([, value]) => value)));
  const scale = unit === "bytes" ? MIB : 1;
  const highest = niceCeiling(peak / scale) * scale;
  const times = all.flatMap(({ points }) => points.map(([at]) => at));
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const place = ([at, value]: readonly [number, number]): string => {
    const x = PLOT.left + (PLOT.width * (at - from)) / (to - from);
    const y = PLOT.top + PLOT.height * (1 - value / highest);
    return `${x.toFixed(0)},${y.toFixed(1).replace(/\.0$/, "")}`;
  };
  const body = stacked.map(({ points, below }, index) =>
    below === undefined
      ? pieces(points).map(
          (piece) => html`<polyline class="l c${index}" points="${piece.map(place).join(" ")}" />`,
        )
      : html`<polygon
          class="a c${index}"
          points="${[...points, ...below.toReversed()].map(place).join(" ")}"
        />`,
  );
  return html`<rect class="p" x=".5" y=".5" width="${WIDTH - 1}" height="${HEIGHT - 1}" rx="8" />
    <text class="t" x="14" y="22">${panel.title}</text>
    ${[0, 0.5, 1].map((share) => gridLine(share, highest * share, unit))} ${body} ${legend(shown, all.length)}`;
}

/** Lines that are above 0 at some time, the highest first; one at 0 where there is no other. */
async function linesOf({ targets }: Panel, run: RunQuery): Promise<Line[]> {
  const lines: Line[] = [];
  for (const { expr, legendFormat } of targets) {
    for (const series of await run(asSent(expr, RATE_INTERVAL))) {
      const points = series.values.filter(([at, value]) => Number.isFinite(value) && at % 2 === 0);
      if (points.length > 1) {
        const highest = Math.max(...points.map(([, value]) => value));
        lines.push({ legend: legendOf(legendFormat, series) ?? "?", points, highest });
      }
    }
  }
  const above = lines.filter(({ highest }) => highest > 0);
  return (above.length === 0 ? lines.slice(0, 1) : above).toSorted(
    (left, right) => right.highest - left.highest,
  );
}

/** Each upon those before it. */
function stack(lines: readonly Line[]): (Line & { readonly below: Line["points"] })[] {
  const times = [...new Set(lines.flatMap(({ points }) => points.map(([at]) => at)))].toSorted(
    (a, b) => a - b,
  );
  let below: Line["points"] = times.map((at) => [at, 0]);
  return lines.map((line) => {
    const values = new Map(line.points);
    const points = below.map(([at, value]) => [at, value + (values.get(at) ?? 0)] as const);
    const layer = { ...line, points, below };
    below = points;
    return layer;
  });
}

/** A line is broken where there was nothing. */
function pieces(points: Line["points"]): Line["points"][] {
  const all: (readonly [number, number])[][] = [];
  for (const point of points) {
    const last = all.at(-1);
    if (last !== undefined && point[0] - (last.at(-1)?.[0] ?? 0) <= 4) {
      last.push(point);
    } else {
      all.push([point]);
    }
  }
  return all.filter(({ length }) => length > 1);
}

function gridLine(share: number, value: number, unit: string): Html {
  const y = PLOT.top + PLOT.height * (1 - share);
  return html`<path class="g" d="M${PLOT.left} ${y}h${PLOT.width}" />
    <text x="${PLOT.left - 8}" y="${y + 4}" text-anchor="end">${withUnit(value, unit)}</text>`;
}

function legend(shown: readonly Line[], total: number): Html {
  let [x, y] = [PLOT.left, PLOT.top + PLOT.height + 20];
  const entries = shown.map(({ legend: name }, index) => {
    const wide = name.replaceAll(/[^A-Z_]/g, "").length;
    const width = 26 + name.length * 6.2 + wide * 1.6;
    if (x + width > WIDTH - 8 && x > PLOT.left) {
      [x, y] = [PLOT.left, y + 16];
    }
    const entry = html`<rect
        class="k c${index}"
        x="${x.toFixed(0)}"
        y="${y - 8}"
        width="9"
        height="9"
        rx="2"
      />
      <text x="${(x + 14).toFixed(0)}" y="${y}">${name}</text>`;
    x += width;
    return entry;
  });
  const rest = total - shown.length;
  const more = rest > 0 ? html`<text x="${x.toFixed(0)}" y="${y}">and ${rest} more</text>` : undefined;
  return html`${entries}${more}`;
}

/** The next 1, 2 or 5 times a power of ten. */
function niceCeiling(value: number): number {
  if (value <= 0) {
    return 1;
  }
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

const UNITS: Readonly<Record<string, string>> = { s: " s", reqps: "/s", cpm: "/min", h: " h" };

function withUnit(value: number, unit: string): string {
  return unit === "bytes"
    ? `${Math.round(value / MIB)} MiB`
    : `${Number(value.toPrecision(3))}${UNITS[unit] ?? ""}`;
}
