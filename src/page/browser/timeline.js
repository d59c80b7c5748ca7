// @ts-check
/** Draws each satellite's phases over time as a lane of bars, on uPlot's axes. */
import uPlot from "uplot";

/** @typedef {import("../feed.ts").FeedMessage} FeedMessage */
/** @typedef {import("../phase-history.ts").PhaseStart} PhaseStart */

const DAY_MS = 86_400_000;
/** Shorter than that it is hard to tell when something was. */
const MIN_SPAN_MS = 120_000;
const LANE_PX = 26;
const BAR_PX = 14;
const AXIS_PX = 26;
/** Lanes that are drawn. */
const MAX_LANES = 100;
/** @type {Intl.DateTimeFormatOptions} */
const TO_MINUTES = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const MINUTES = new Intl.DateTimeFormat(undefined, TO_MINUTES);
const SECONDS = new Intl.DateTimeFormat(undefined, { ...TO_MINUTES, second: "2-digit" });
/** Half the width of a label: nearer to the edge it would be cut. */
const LABEL_PX = 28;

export class Timeline {
  /** @type {HTMLElement} */ #root;
  /** @type {HTMLElement} */ #names = document.createElement("ol");
  /** @type {HTMLElement} */ #plot = document.createElement("div");
  /** @type {HTMLElement} */ #words = document.createElement("p");
  /** @type {Map<string, readonly PhaseStart[]>} */ #lanes = new Map();
  /** @type {string[]} */ #keys = [];
  /** @type {uPlot | undefined} */ #chart;
  #sinceMs = 0;
  #nowMs = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#names.className = "lanes";
    this.#plot.className = "plot";
    this.#plot.setAttribute("role", "img");
    this.#words.className = "note";
    this.#words.setAttribute("aria-hidden", "true");
    root.replaceChildren(this.#names, this.#plot, this.#words);
    new ResizeObserver(() => this.#build()).observe(this.#plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#build());
  }

  /** @param {FeedMessage} message */
  take(message) {
    if (message.isAll) {
      this.#lanes.clear();
    }
    for (const key of message.gone) {
      this.#lanes.delete(key);
    }
    for (const [key, phases] of Object.entries(message.phases)) {
      this.#lanes.set(key, phases);
    }
    this.#sinceMs = message.since;
    const keys = [...this.#lanes.keys()]
      .filter((key) => (this.#lanes.get(key)?.length ?? 0) > 0)
      .toSorted()
      .slice(0, MAX_LANES);
    this.#root.hidden = keys.length === 0;
    this.#nowMs = message.now;
    if (keys.join() !== this.#keys.join()) {
      this.#keys = keys;
      this.#names.replaceChildren(
        ...keys.map((key) => {
          const name = document.createElement("li");
          name.textContent = key.replace(/^[^/]*\//, "");
          name.title = key;
          return name;
        }),
      );
      this.#plot.ariaLabel = `Phases of ${keys.length} satellites over time, as listed under latest changes`;
      this.#build();
    }
    this.draw(message.now);
  }

  /** @param {number} nowMs by the server's clock */
  draw(nowMs) {
    this.#nowMs = nowMs;
    this.#chart?.setData(this.#data());
  }

  /** @returns {uPlot.AlignedData} */
  #data() {
    const fromMs = Math.min(Math.max(this.#sinceMs, this.#nowMs - DAY_MS), this.#nowMs - MIN_SPAN_MS);
    return [
      [fromMs / 1000, this.#nowMs / 1000],
      [0, 0],
    ];
  }

  /** Colours and sizes are those of the moment. */
  #build() {
    this.#chart?.destroy();
    this.#chart = undefined;
    const width = this.#plot.clientWidth;
    if (width === 0 || this.#keys.length === 0) {
      return;
    }
    const style = getComputedStyle(this.#root);
    const axis = style.getPropertyValue("--muted");
    const line = style.getPropertyValue("--line");
    this.#chart = new uPlot(
      {
        width,
        height: this.#keys.length * LANE_PX + AXIS_PX,
        padding: [0, 1, 0, 1],
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: { x: { time: true, range: (_, min, max) => [min, max] }, y: { range: [0, 1] } },
        axes: [
          {
            stroke: axis,
            font: `12px ${style.fontFamily}`,
            size: AXIS_PX,
            space: 72,
            grid: { stroke: line, width: 1 },
            ticks: { show: false },
            values: (chart, splits, _index, _space, stepSeconds) =>
              splits.map((at) => label(chart, at, stepSeconds)),
          },
          { show: false },
        ],
        series: [{}, { paths: () => null, points: { show: false } }],
        hooks: {
          draw: [(chart) => this.#drawLanes(chart, style)],
          setCursor: [(chart) => this.#say(chart)],
        },
      },
      this.#data(),
      this.#plot,
    );
  }

  /**
   * @param {uPlot} chart
   * @param {CSSStyleDeclaration} style
   */
  #drawLanes(chart, style) {
    const { ctx, bbox } = chart;
    const ratio = uPlot.pxRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [lane, key] of this.#keys.entries()) {
      const top = bbox.top + (lane * LANE_PX + (LANE_PX - BAR_PX) / 2) * ratio;
      const phases = this.#lanes.get(key) ?? [];
      for (const [index, { atMs, phase }] of phases.entries()) {
        const left = chart.valToPos(atMs / 1000, "x", true);
        const right = chart.valToPos((phases[index + 1]?.atMs ?? this.#nowMs) / 1000, "x", true);
        ctx.fillStyle = style.getPropertyValue(`--${phase}`);
        // What was short is still seen.
        ctx.fillRect(left, top, Math.max(right - left, ratio), BAR_PX * ratio);
      }
    }
    ctx.restore();
  }

  /**
   * Says what is under the pointer.
   *
   * @param {uPlot} chart
   */
  #say(chart) {
    const { left = -1, top = -1 } = chart.cursor;
    const key = this.#keys[Math.floor(top / LANE_PX)];
    const atMs = chart.posToVal(left, "x") * 1000;
    const phases = key === undefined || left < 0 ? [] : (this.#lanes.get(key) ?? []);
    const index = phases.findLastIndex((each) => each.atMs <= atMs);
    const found = phases[index];
    if (found === undefined || atMs > this.#nowMs) {
      this.#words.textContent = "Point at a bar to see what it stands for.";
      return;
    }
    const next = phases[index + 1];
    this.#words.textContent = `${key}: ${found.phase}, ${SECONDS.format(found.atMs)} to ${next === undefined ? "now" : SECONDS.format(next.atMs)}`;
  }
}

/**
 * The time of day below a line of the grid; none where it would be cut.
 *
 * @param {uPlot} chart
 * @param {number} at seconds since 1970
 * @param {number} stepSeconds between two lines
 */
function label(chart, at, stepSeconds) {
  // Where it will be: a new chart is asked for its labels before it has any places.
  const [from = 0, to = 0] = chart.data[0];
  const x = ((at - from) / (to - from)) * chart.width;
  const isCut = x < LABEL_PX || x > chart.width - LABEL_PX;
  return isCut ? "" : (stepSeconds < 60 ? SECONDS : MINUTES).format(at * 1000);
}
