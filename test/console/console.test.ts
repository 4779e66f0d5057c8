// The console in a real browser, against real processes: three storage nodes and one more to add, a leader and a standby.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  accessibilityComplaints,
  CHROMIUM,
  openBrowser,
  openPage,
  overflowOf,
  type PageOptions,
} from "../support/browser.ts";
import { freePort, until } from "../support/cluster-process.ts";
import {
  buildProgram,
  killNodes,
  killProcess,
  type NodeProcess,
  startNode,
  startProgram,
} from "../support/node-process.ts";

/** Far longer than anything takes, but on a machine that is busy with much else. */
const WAIT_MS = 60_000;

let folder = "";
let browser: Browser;
const nodes = new Map<string, { readonly process: NodeProcess; readonly address: string }>();
let leader: { readonly process: NodeProcess; readonly http: string };
let standby: typeof leader;
const pages: Page[] = [];

async function coordinator(name: string, ...more: string[]): Promise<typeof leader> {
  const [port, http] = [String(await freePort()), String(await freePort())];
  const file = path.join(name, "cluster.json");
  const args = ["serve", "--port", port, "--http", http, "--cluster-file", file, ...more];
  const process = startProgram("runtime", args, folder);
  await process.ready;
  return { process, http: `http://127.0.0.1:${http}` };
}

async function rest(target: string, body?: object, method = body ? "POST" : "GET"): Promise<Record<string, unknown>> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${leader.http}${target}`, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  });
  expect(answer.ok, `${method} ${target}: ${answer.status}`).toBe(true);
  return (await answer.json()) as Record<string, unknown>;
}

async function settled(): Promise<void> {
  await until(
    "the end of all operations",
    async () => {
      const { operations } = (await rest("/admin/operations")) as { operations: { phase: string }[] };
      return operations.every(({ phase }) => phase === "done") ? true : undefined;
    },
    WAIT_MS,
  );
}

async function opened(url: string, options: PageOptions = {}): Promise<{ page: Page; problems: string[] }> {
  const watched = await openPage(browser, url, options);
  pages.push(watched.page);
  watched.page.setDefaultTimeout(WAIT_MS);
  await watched.page.locator("#link-text", { hasText: "Live" }).waitFor();
  return watched;
}

const row = (page: Page, id: string): ReturnType<Page["locator"]> => page.locator(`tr[data-node="${id}"]`);
const ringSays = async (page: Page, words: string): Promise<void> =>
  await page.locator(`#ring-canvas[aria-label*="${words}"]`).waitFor();

const TITLE = CHROMIUM === undefined ? "the console: SKIPPED, chromium is not installed" : "the console";

describe.skipIf(CHROMIUM === undefined)(TITLE, () => {
  beforeAll(async () => {
    buildProgram();
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-console-"));
    browser = await openBrowser();
    for (const id of ["A", "B", "C", "D"]) {
      const process = startNode(["0", "--data-dir", id], folder);
      nodes.set(id, { process, address: `127.0.0.1:${(await process.ready).port}` });
    }
    leader = await coordinator("leader");
  }, 120_000);
  afterEach(async () => {
    for (const page of pages.splice(0)) await page.close();
  });
  afterAll(async () => {
    await browser.close();
    await killNodes();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  test("a cluster without a node says so, and its first node is added from there", async () => {
    const { page, problems } = await opened(leader.http);
    expect(await accessibilityComplaints(page)).toEqual([]);
    await page.getByRole("button", { name: "Add the first node…" }).click();
    await page.getByLabel("Address").fill(nodes.get("A")?.address ?? "");
    await page.getByRole("button", { name: "Show the plan" }).click();
    await page.getByText("The first node makes the cluster").waitFor();
    await page.locator("#dialog").getByRole("button", { name: "Add node" }).click();
    await row(page, "A").getByText("up").waitFor();
    await ringSays(page, "A 100 %");
    expect(problems).toEqual([]);
  });

  test("the policy forbids whatever is not of this server, and nothing else is asked for", async () => {
    const policy = (await fetch(leader.http)).headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|http:|data:/);
    const { page, problems } = await opened(leader.http);
    await row(page, "A").getByText("up").waitFor();
    expect(problems).toEqual([]);
  });

  test("the ring follows nodes that are added elsewhere", async () => {
    const { page, problems } = await opened(leader.http);
    for (const id of ["B", "C"]) await rest("/admin/nodes", { id, address: nodes.get(id)?.address });
    await settled();
    await ringSays(page, "A 33 %, B 33 %, C 33 %");
    standby = await coordinator("standby", "--join", nodes.get("A")?.address ?? "");
    await page.locator("#coordinators .badge.standby").waitFor();
    expect(problems).toEqual([]);
  });

  test.each([
    { width: 390, height: 844, theme: "light" },
    { width: 390, height: 844, theme: "dark" },
    { width: 820, height: 1100, theme: "light" },
    { width: 1360, height: 900, theme: "dark" },
    { width: 1900, height: 1000, theme: "light" },
  ] as const)("is whole and readable at $width px, $theme", async (options) => {
    const { page, problems } = await opened(leader.http, options);
    await ringSays(page, "C 33 %");
    expect(await overflowOf(page)).toBeLessThanOrEqual(0);
    expect(await accessibilityComplaints(page)).toEqual([]);
    expect(problems).toEqual([]);
  });

  test("a key is stored, found, read with its replicas, changed and deleted", async () => {
    const { page, problems } = await opened(leader.http);
    await page.getByRole("button", { name: "New key…" }).click();
    await page.getByLabel("Key", { exact: true }).fill("fruit/äpple ?#%");
    await page.getByLabel("Value", { exact: true }).fill("first");
    await page.getByRole("button", { name: "Store" }).click();
    await page.getByText(/Done: version/).waitFor();
    await page.getByLabel("Prefix").fill("fruit/");
    await page.getByRole("button", { name: "Search" }).click();
    await page.locator("#key-list").getByRole("button").click();
    await page.getByText("Replicas of slot").waitFor();
    expect(await page.locator("#value").inputValue()).toBe("first");
    expect(await page.locator("#key-detail .badge", { hasText: "in step" }).count()).toBe(3);
    await page.locator("#value").fill("second");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText(/Done: version/).waitFor();
    expect(await rest(`/keys/${encodeURIComponent("fruit/äpple ?#%")}`)).toMatchObject({ value: "second" });
    expect(await accessibilityComplaints(page)).toEqual([]);
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.locator("#dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("This key has no value.").waitFor();
    // The browser itself notes a 404 that the page expects.
    expect(problems.filter((problem) => !problem.includes("404"))).toEqual([]);
  });

  test.each([".", ".."])(
    "the key %s, which no URL can carry, is stored, read, changed and deleted too",
    async (key) => {
      const { page } = await opened(standby.http);
      await page.getByRole("button", { name: "New key…" }).click();
      await page.getByLabel("Key", { exact: true }).fill(key);
      await page.getByLabel("Value", { exact: true }).fill("first");
      await page.getByRole("button", { name: "Store" }).click();
      await page.getByText(/Done: version/).waitFor();
      await page.locator("#value").fill("second");
      await rest("/batch", { operations: [{ op: "put", key, value: "theirs" }] });
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText(/Changed meanwhile/).waitFor();
      await page.getByRole("button", { name: "Read again" }).click();
      await page.locator("#key-detail .badge", { hasText: "in step" }).first().waitFor();
      await expect.poll(() => page.locator("#value").inputValue(), { timeout: WAIT_MS }).toBe("theirs");
      await page.getByRole("button", { name: "Delete…" }).click();
      await page.locator("#dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByText("This key has no value.").waitFor();
    },
  );

  test("C7: a value that changed meanwhile is not overwritten", async () => {
    await rest("/keys/shared", { value: "mine" }, "PUT");
    const { page } = await opened(standby.http);
    await page.getByLabel("Prefix").fill("shared");
    await page.getByRole("button", { name: "Search" }).click();
    await page.locator("#key-list").getByRole("button").click();
    await page.locator("#value").fill("lost");
    await rest("/keys/shared", { value: "theirs" }, "PUT");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText(/Changed meanwhile/).waitFor();
    expect(await rest("/keys/shared")).toMatchObject({ value: "theirs" });
  });

  test("a node is added after its plan was shown, slots change hands on the ring, and it ends", async () => {
    const operations = Array.from({ length: 500 }, (_, index) => ({ op: "put", key: `k${index}`, value: "x" }));
    await rest("/batch", { operations });
    const { page, problems } = await opened(standby.http);
    await row(page, "C").getByText("up").waitFor();
    await page.getByRole("button", { name: "Add node…" }).click();
    expect(await page.getByLabel("Name").inputValue()).toBe("D");
    await page.getByLabel("Address").fill(nodes.get("D")?.address ?? "");
    await page.getByRole("button", { name: "Show the plan" }).click();
    await page.getByText("3,072 slots would change hands").waitFor();
    expect(await accessibilityComplaints(page)).toEqual([]);
    expect(((await rest("/admin/nodes")) as { nodes: unknown[] }).nodes).toHaveLength(3);
    await page.locator("#dialog").getByRole("button", { name: "Add node" }).click();
    await page.locator("#operations .badge.done", { hasText: "done" }).first().waitFor();
    await settled();
    await ringSays(page, "D 25 %");
    await page.getByText(/Operation \d+ \(addnode D .*\): done/).waitFor();
    expect(problems).toEqual([]);
  });

  test("a node that is killed turns red, and is up again when it is back", async () => {
    const { page } = await opened(leader.http);
    await row(page, "B").getByText("up").waitFor();
    const b = nodes.get("B");
    if (!b) throw new Error("no node B");
    await killProcess(b.process);
    await row(page, "B").locator(".badge.down").waitFor();
    await page.locator("#banner", { hasText: "Down: B" }).waitFor();
    await page
      .locator("#events")
      .getByText(/Node B .* is down/)
      .waitFor();
    expect(await accessibilityComplaints(page)).toEqual([]);
    const port = b.address.split(":")[1] ?? "";
    await startNode([port, "--data-dir", "B"], folder).ready;
    await row(page, "B").locator(".badge.up").waitFor();
  });

  test("a page survives the leader's death: at the standby it stays, at the leader it goes on at the standby", async () => {
    const stays = await opened(standby.http);
    const goesOn = await opened(leader.http);
    await row(goesOn.page, "A").getByText("up").waitFor();
    const address = await stays.page
      .locator("#coordinators .chip", { has: stays.page.locator(".standby") })
      .locator(".mono")
      .textContent();
    await killProcess(leader.process);
    for (const { page } of [stays, goesOn]) {
      await page.locator("#tile-leader", { hasText: address ?? "" }).waitFor();
      await page.locator("#link-text", { hasText: "Live" }).waitFor();
      expect(page.url()).toBe(`${standby.http}/`);
    }
    await stays.page.getByText(/leads epoch 2/).waitFor();
    expect(stays.problems).toEqual([]);
  });
});
