// A browser for tests of the console: the chromium of the system, driven by playwright-core, with pages that remember whatever went wrong on
// them: errors, refused loads, requests to anywhere but loopback. Tests skip where there is no chromium.
import { createRequire } from "node:module";
import fs from "node:fs";
import { chromium as driver, type Browser, type Page } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where chromium is; undefined where it is not installed. */
export const CHROMIUM = [process.env["HOLDFAST_CHROMIUM"], ...PLACES].find(
  (place) => place !== undefined && fs.existsSync(place),
);

export async function openBrowser(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error("chromium is not installed");
  // Containers run as root, where chromium's own sandbox does not work.
  return await driver.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
}

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: "light" | "dark";
  /** Given where a server asks for one; without it the browser shows the refusal. */
  readonly password?: string;
}

/** A page, and what went wrong on it so far. */
export interface Watched {
  readonly page: Page;
  readonly problems: string[];
}

export async function openPage(browser: Browser, url: string, options: PageOptions = {}): Promise<Watched> {
  const { width = 1360, height = 900, theme = "light", password } = options;
  const page = await browser.newPage({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: "reduce",
    ...(password !== undefined && { httpCredentials: { username: "anybody", password } }),
  });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") problems.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).hostname !== "127.0.0.1") problems.push(`asks for ${request.url()}`);
  });
  await page.goto(url);
  return { page, problems };
}

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly target: readonly string[] }[];
  }[];
}

/** What axe finds wrong for people who use a screen reader or a keyboard, or who see less well; empty where nothing. */
export async function accessibilityComplaints(page: Page): Promise<string[]> {
  const source = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(source);
  const { violations } = (await page.evaluate("axe.run()")) as AxeResults;
  return violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`,
  );
}

/** How far the page is wider than its window, in pixels. */
export async function overflowOf(page: Page): Promise<number> {
  return (await page.evaluate("document.documentElement.scrollWidth - innerWidth")) as number;
}
