/**
 * Draws docs/pictures: two teams use `satellites local` with virtual VMs for two minutes while Debian's Prometheus scrapes it;
 * then Debian's Chromium looks at the page, and the dashboard's queries are drawn. `node test/pictures/draw.ts DIRECTORY`
 * writes them there instead.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { TestSystem } from "../e2e/local-system.ts";
import { dashboardPanels, TARGET_LABELS } from "../monitoring/chart.ts";
import { requirePrometheus } from "../monitoring/programs.ts";
import { TestPrometheus } from "../monitoring/prometheus.ts";
import { startBrowser } from "../page/browser/chromium.ts";
import { drawPanels } from "./panel-drawing.ts";
import { STORY_SECONDS, tellStory } from "./story.ts";

const TARGET = process.argv[2] ?? join(import.meta.dirname, "../../docs/pictures");
/** Each picture ends below a section of the page, by the ID of its title. */
const SCREENS = [
  { name: "light", colorScheme: "light", width: 1100, height: 880, lastSection: "table-title" },
  { name: "dark", colorScheme: "dark", width: 1100, height: 880, lastSection: "table-title" },
  { name: "phone", colorScheme: "dark", width: 390, height: 780, lastSection: "timeline-title" },
] as const;
const MARGIN = 16;

async function photograph(browser: Browser, url: string): Promise<void> {
  for (const { name, colorScheme, width, height, lastSection } of SCREENS) {
    const page = await browser.newPage({ colorScheme, viewport: { width, height }, timezoneId: "UTC" });
    await page.goto(url);
    await page.locator("canvas").waitFor();
    await page.locator("#state", { hasText: /^live$/ }).waitFor();
    const last = await page.locator(`section[aria-labelledby="${lastSection}"]`).boundingBox();
    const clip = { x: 0, y: 0, width, height: Math.ceil((last?.y ?? 0) + (last?.height ?? height)) + MARGIN };
    await page.screenshot({ path: join(TARGET, `page-${name}.png`), fullPage: true, clip });
    await page.close();
  }
}

const { prometheus: program } = await requirePrometheus();
const panels = await dashboardPanels();
const browser = await startBrowser();
const test = await TestSystem.start({ virtualVms: { delayMs: 1_200 } });
const targets = Object.entries(test.system.metricsUrls).map(([name, url]) => ({
  address: new URL(url).host,
  labels: { ...TARGET_LABELS, pod: "satellites-0", program: name },
}));
const prometheus = await TestPrometheus.start(program, targets);
try {
  await tellStory(test);
  mkdirSync(TARGET, { recursive: true });
  await photograph(browser, test.system.pageUrl);
  const dashboard = await drawPanels(panels, (query) => prometheus.queryRange(query, STORY_SECONDS));
  writeFileSync(join(TARGET, "dashboard.svg"), dashboard);
} finally {
  await prometheus.stop();
  await browser.close();
  await test.destroy();
}
process.exit(0);
