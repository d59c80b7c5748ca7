// @ts-check
/** Keeps the page up to date. What comes is rendered and escaped by the server; this script puts it where it belongs. */
import { Timeline } from "./timeline.js";

/** @typedef {import("../feed.ts").FeedMessage} FeedMessage */

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function element(id) {
  const found = document.getElementById(id);
  if (found === null) {
    throw new Error(`the document lacks #${id}`);
  }
  return found;
}

const state = element("state");
const glance = element("glance");
const rows = element("rows");
const rest = element("rest");
const changes = element("changes");
const timeline = new Timeline(element("timeline"));
/** How far the server's clock is ahead of this one's, in milliseconds. */
let aheadMs = 0;

const format = new Intl.DurationFormat("en", { style: "narrow" });
const formatSeconds = new Intl.DurationFormat("en", { style: "narrow", secondsDisplay: "always" });
/** @type {Intl.DateTimeFormatOptions} */
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const clock = new Intl.DateTimeFormat(undefined, TIME);
const whole = new Intl.DateTimeFormat(undefined, {
  ...TIME,
  year: "numeric",
  month: "short",
  day: "numeric",
});

/**
 * The two largest units, as kubectl shows ages.
 *
 * @param {number} ms
 */
function age(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) {
    return format.format({ days, hours: hours % 24 });
  }
  if (hours > 0) {
    return format.format({ hours, minutes: minutes % 60 });
  }
  return minutes > 0 ? format.format({ minutes, seconds: seconds % 60 }) : formatSeconds.format({ seconds });
}

/** Shows times by this viewer's clock: how long ago in the table, the time of day elsewhere. */
function tick() {
  const nowMs = Date.now() + aheadMs;
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const text = time.closest("table") === null ? clock.format(at) : age(nowMs - at.getTime());
    if (time.textContent !== text) {
      time.textContent = text;
      time.title = whole.format(at);
    }
  }
}

/**
 * @param {string} key
 * @param {string} html a row that the server rendered
 */
function putRow(key, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const row = template.content.firstElementChild;
  if (row === null) {
    return;
  }
  const all = /** @type {HTMLElement[]} */ ([...rows.children]);
  const there = all.find(({ dataset }) => dataset.key === key);
  if (there !== undefined) {
    there.replaceWith(row);
    return;
  }
  const next = all.find(({ dataset }) => (dataset.key ?? "") > key);
  rows.insertBefore(row, next ?? null);
}

/** @param {FeedMessage} message */
function take(message) {
  aheadMs = message.now - Date.now();
  if (message.isAll) {
    rows.innerHTML = Object.values(message.rows).join("");
  } else {
    for (const key of message.gone) {
      [...rows.children].find((row) => /** @type {HTMLElement} */ (row).dataset.key === key)?.remove();
    }
    for (const [key, html] of Object.entries(message.rows)) {
      putRow(key, html);
    }
  }
  glance.innerHTML = message.glance;
  changes.innerHTML = message.changes;
  rest.textContent = message.rest;
  timeline.take(message);
  tick();
}

function follow() {
  const events = new EventSource(`events${location.search}`);
  events.addEventListener("open", () => {
    state.textContent = "live";
    state.dataset.live = "yes";
  });
  events.addEventListener("message", ({ data }) => take(JSON.parse(data)));
  events.addEventListener("error", () => {
    state.textContent = "not connected; trying again";
    delete state.dataset.live;
    // Browsers try again by themselves, but not after an answer that was no stream.
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(follow, 3000);
    }
  });
}

const filter = document.querySelector("form");
if (filter !== null) {
  filter.querySelector("button")?.remove();
  filter.addEventListener("change", () => filter.requestSubmit());
}
setInterval(() => {
  tick();
  timeline.draw(Date.now() + aheadMs);
}, 1000);
follow();
tick();
