import axe from "axe-core";
import { expect } from "chai";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { TestSystem } from "../../e2e/local-system.ts";
import { startBrowser } from "./chromium.ts";

const LOOKS = (["light", "dark"] as const).flatMap((colorScheme) =>
  [
    { screen: "a phone", width: 390, height: 844 },
    { screen: "a desk", width: 1280, height: 900 },
  ].map((size) => ({ colorScheme, ...size })),
);

/** `satellites local` as people start it, with virtual VMs, and Debian's Chromium. */
describe("the page about all satellites", function () {
  this.timeout(180_000);
  let test: TestSystem;
  let browser: Browser;
  const contexts: BrowserContext[] = [];

  before(async () => {
    browser = await startBrowser();
    test = await TestSystem.start({ virtualVms: { delayMs: 300 } });
    await test.create("ada", { idleTimeout: "5s" });
    await test.create("lost", { className: "nowhere", desiredPower: "on" });
    await test.create("kept");
    await test.untilPhase("ada", "Asleep");
    await test.untilPhase("lost", "Failed");
    await test.untilPhase("kept", "Running");
  });
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
  });
  after(async () => {
    await browser?.close();
    await test?.destroy();
  });

  /** Opens it in a browser of its own; what a policy blocks or a script throws fails the test that calls `check`. */
  async function open(
    options: Parameters<Browser["newContext"]>[0] = {},
  ): Promise<{ readonly page: Page; readonly check: () => void }> {
    const context = await browser.newContext(options);
    contexts.push(context);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) {
        complaints.push(message.text());
      }
    });
    await page.goto(test.system.pageUrl);
    return { page, check: () => expect(complaints).to.deep.equal([]) };
  }

  const row = (page: Page, name: string): ReturnType<Page["locator"]> =>
    page.locator(`tr[data-key="default/${name}"]`);

  /** What axe finds, a line each, and how many of its rules hold. */
  async function judge(page: Page): Promise<{ readonly violations: string[]; readonly passes: number }> {
    // By the debugger, which the page's policy does not concern.
    await page.evaluate(axe.source);
    const { violations, passes } = (await page.evaluate("axe.run()")) as axe.AxeResults;
    const lines = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    return { violations: lines, passes: passes.length };
  }

  it("shows a wake as it happens, without being loaded anew", async () => {
    const { page, check } = await open();
    await page.locator("#state", { hasText: /^live$/ }).waitFor();
    await page.evaluate("window.isTheSame = true");
    await row(page, "ada").locator("td", { hasText: "Asleep" }).waitFor();
    await row(page, "ada").locator("td", { hasText: "hibernated" }).waitFor();
    await test.connect("ada").run("true", {});
    await row(page, "ada").locator("td", { hasText: "Running" }).waitFor();
    await page
      .locator("#changes li", { hasText: /default\/ada\s+Waking for .*, then\s+Running/ })
      .first()
      .waitFor();
    await row(page, "ada").locator("td", { hasText: "Asleep" }).waitFor();
    expect(await page.evaluate("window.isTheSame"), "the document is the same").to.equal(true);
    check();
  });

  it("shows what is made and what is deleted, in its place", async () => {
    const { page, check } = await open();
    const keys = (): Promise<string[]> =>
      page.locator("#rows tr").evaluateAll((rows) => rows.map((each) => each.getAttribute("data-key") ?? ""));
    await page.locator("#state", { hasText: /^live$/ }).waitFor();
    await test.create("bob", { desiredPower: "off" });
    await row(page, "bob").waitFor();
    expect(await keys()).to.deep.equal(["default/ada", "default/bob", "default/kept", "default/lost"]);
    await test.delete("bob");
    await row(page, "bob").waitFor({ state: "detached" });
    check();
  });

  it("draws the phases that each went through, and says what is under the pointer", async () => {
    const { page, check } = await open();
    const plot = page.locator(".plot");
    await plot.locator("canvas").waitFor();
    expect(await page.locator(".lanes li").allTextContents()).to.include.members(["ada", "kept", "lost"]);
    const lanes = await page.locator(".lanes li").allTextContents();
    const box = await plot.boundingBox();
    expect(box).to.not.equal(null);
    const { x, y, width } = box ?? { x: 0, y: 0, width: 0 };
    await page.mouse.move(x + width - 3, y + 26 * lanes.indexOf("lost") + 13);
    await page.locator("#timeline .note", { hasText: /^default\/lost: Failed, .* to now$/ }).waitFor();
    check();
  });

  it("goes on by itself after its process was killed", async () => {
    const { page } = await open();
    const live = page.locator("#state", { hasText: /^live$/ });
    await live.waitFor();
    await test.system.program("operator").kill();
    await page.locator("#state", { hasText: "not connected" }).waitFor();
    await test.system.program("operator").ready();
    await live.waitFor();
    await row(page, "kept").locator("td", { hasText: "Running" }).waitFor();
  });

  it("shows everything but the timeline without JavaScript", async () => {
    const { page, check } = await open({ javaScriptEnabled: false });
    await row(page, "kept").getByText("it never sleeps by itself").waitFor();
    await row(page, "lost").getByText("ClassNotFound").waitFor();
    expect(await page.locator("#state").textContent()).to.match(/^as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    expect(await page.locator("dt", { hasText: "Awake" }).isVisible()).to.equal(true);
    expect(await page.getByText("The timeline needs JavaScript").isVisible()).to.equal(true);
    check();
  });

  for (const { colorScheme, screen, width, height } of LOOKS) {
    it(`is accessible, ${colorScheme}, on ${screen}, and fits its width`, async () => {
      const { page, check } = await open({ colorScheme, viewport: { width, height } });
      await page.locator("canvas").waitFor();
      await page.locator("#state", { hasText: /^live$/ }).waitFor();
      const { violations, passes } = await judge(page);
      expect(violations).to.deep.equal([]);
      expect(passes, "it was looked at").to.be.greaterThan(10);
      expect(await page.evaluate("document.documentElement.scrollWidth")).to.equal(width);
      check();
    });
  }

  it("gives a reason the whole width of a phone", async () => {
    const { page } = await open({ viewport: { width: 390, height: 844 } });
    const reason = await row(page, "lost").locator('td[data-title="Reason"]').boundingBox();
    const whole = await row(page, "lost").boundingBox();
    expect(reason?.width).to.equal(whole?.width);
  });

  it("would be found to be hard to read, or without names for its parts", async () => {
    const { page } = await open({ colorScheme: "light" });
    await page.locator("#state", { hasText: /^live$/ }).waitFor();
    await page.evaluate(
      'const root = document.documentElement; root.style.setProperty("--muted", "#bbbbbb"); root.removeAttribute("lang");',
    );
    const { violations } = await judge(page);
    expect(violations.map((line) => line.split(":")[0])).to.include.members([
      "color-contrast",
      "html-has-lang",
    ]);
  });
});
