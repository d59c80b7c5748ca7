import { isDeepStrictEqual } from "node:util";
import xterm, { type IBufferCell, type Terminal } from "@xterm/headless";

/** Looks of a terminal; colours of 16 by number, those of a dark theme. */
const COLOURS: Readonly<Record<number, string>> = {
  1: "#ff7b72",
  2: "#56d364",
  3: "#e3b341",
  4: "#79c0ff",
  7: "#d0d7de",
};
const PLAIN = "#d0d7de";
const BACKGROUND = "#161b22";
const CELL = { width: 8.4, height: 19 };
const PADDING = 18;
const TITLE_BAR = 30;
/** Where nothing happens for longer, a moving picture goes on after this time. */
const LONGEST_PAUSE_SECONDS = 1.2;
/** What comes later can be read from the beginning. Still where people asked for little motion, or a viewer knows no animations. */
const APPEARING =
  "<style>@media(prefers-reduced-motion:no-preference){.l{animation:l 1ms both}@keyframes l{from{opacity:.45}}}</style>";

/** A line of the screen. */
interface Line {
  readonly runs: readonly Run[];
  /** When it lights up in a moving picture. */
  readonly atSeconds?: number;
}

/** Cells that look alike and stand side by side. */
interface Run {
  readonly column: number;
  readonly text: string;
  readonly colour: string;
  readonly isBold: boolean;
  readonly isDim: boolean;
}

/** What a program wrote, and when. */
export interface Written {
  /** Since any moment, in seconds; never less than of what was written before. */
  readonly seconds: number;
  readonly bytes: string;
}

/**
 * What a terminal shows after these bytes, as an SVG picture. Widths of texts are written down, so that columns stand where
 * they stood in the terminal, whatever font a browser has.
 *
 * @param bytes as a program wrote them to a pseudo-terminal
 * @param columns width of that terminal
 */
export async function terminalSvg(bytes: string, columns: number, title: string): Promise<string> {
  const terminal = openTerminal(columns);
  await write(terminal, bytes);
  const lines = readLines(terminal);
  terminal.dispose();
  return draw(
    lines.map((runs) => ({ runs })),
    columns,
    title,
  );
}

/**
 * The same as a picture that moves once and then stays: each line lights up when it got its last look. Pauses are shortened to
 * 1.2 s.
 *
 * @param recording what was written to the terminal, in order
 * @param columns width of the terminal
 */
export async function recordingSvg(
  recording: readonly Written[],
  columns: number,
  title: string,
): Promise<string> {
  const terminal = openTerminal(columns);
  let lines: Line[] = [];
  let atSeconds = 0;
  let before = recording[0]?.seconds ?? 0;
  for (const { seconds, bytes } of recording) {
    atSeconds += Math.min(seconds - before, LONGEST_PAUSE_SECONDS);
    before = seconds;
    await write(terminal, bytes);
    lines = readLines(terminal).map((runs, row) => {
      const known = lines[row];
      return known !== undefined && isDeepStrictEqual(known.runs, runs) ? known : { runs, atSeconds };
    });
  }
  terminal.dispose();
  return draw(lines, columns, title);
}

function openTerminal(columns: number): Terminal {
  return new xterm.Terminal({ cols: columns, rows: 200, allowProposedApi: true, convertEol: true });
}

function write(terminal: Terminal, bytes: string): Promise<void> {
  return new Promise((resolve) => terminal.write(bytes, resolve));
}

function draw(lines: readonly Line[], columns: number, title: string): string {
  const width = Math.round(columns * CELL.width + 2 * PADDING);
  const height = TITLE_BAR + lines.length * CELL.height + PADDING;
  const isMoving = lines.some(({ atSeconds }) => atSeconds !== undefined);
  const texts = lines.flatMap(({ runs, atSeconds }, row) => {
    const drawn = runs.map((run) => textOf(run, TITLE_BAR + (row + 1) * CELL.height - 5));
    return atSeconds === undefined || drawn.length === 0
      ? drawn
      : [`<g class="l" style="animation-delay:${atSeconds.toFixed(2)}s">`, ...drawn, "</g>"];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title)}">`,
    ...(isMoving ? [APPEARING] : []),
    `<rect width="${width}" height="${height}" rx="8" fill="${BACKGROUND}"/>`,
    ...["#ff5f57", "#febc2e", "#28c840"].map(
      (fill, index) => `<circle cx="${20 + 18 * index}" cy="15" r="5.5" fill="${fill}"/>`,
    ),
    `<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14">`,
    ...texts,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

function readLines(terminal: Terminal): Run[][] {
  const { active } = terminal.buffer;
  const lines = Array.from({ length: active.length }, (_each, index) => {
    const line = active.getLine(index);
    const cells = Array.from({ length: line?.length ?? 0 }, (_cell, column) => line?.getCell(column));
    return runsOf(cells.filter((cell) => cell !== undefined));
  });
  const last = lines.findLastIndex((runs) => runs.length > 0);
  return lines.slice(0, last + 1);
}

function runsOf(cells: readonly IBufferCell[]): Run[] {
  const runs: Run[] = [];
  for (const [column, cell] of cells.entries()) {
    const colour = cell.isFgPalette() ? (COLOURS[cell.getFgColor()] ?? PLAIN) : PLAIN;
    const look = { colour, isBold: cell.isBold() !== 0, isDim: cell.isDim() !== 0 };
    const text = cell.getChars() === "" ? " " : cell.getChars();
    const before = runs.at(-1);
    const isSame =
      before !== undefined &&
      before.colour === look.colour &&
      before.isBold === look.isBold &&
      before.isDim === look.isDim;
    if (isSame) {
      runs[runs.length - 1] = { ...before, text: before.text + text };
    } else {
      runs.push({ column, text, ...look });
    }
  }
  return runs.flatMap(wordsOf);
}

/** A run without its gaps: browsers and code hosts make one space of several, whatever the picture says. */
function wordsOf(run: Run): Run[] {
  return [...run.text.matchAll(/\S+(?: \S+)*/g)].map(({ 0: text, index }) => ({
    ...run,
    column: run.column + index,
    text,
  }));
}

function textOf({ column, text, colour, isBold, isDim }: Run, y: number): string {
  const x = (PADDING + column * CELL.width).toFixed(1);
  const length = (text.length * CELL.width).toFixed(1);
  const bold = isBold ? ' font-weight="bold"' : "";
  const dim = isDim ? ' opacity="0.65"' : "";
  return `<text x="${x}" y="${y}" fill="${colour}"${bold}${dim} textLength="${length}" lengthAdjust="spacingAndGlyphs">${escape(text)}</text>`;
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
