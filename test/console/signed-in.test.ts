// The console of a cluster with a token: a browser asks for it as a password, and then everything works, the stream of events and calls
// that a standby passes on included. A reader's token shows all and changes nothing.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHROMIUM, openBrowser, openPage } from "../support/browser.ts";
import { freePort } from "../support/cluster-process.ts";
import { buildProgram, killNodes, startNode, startProgram } from "../support/node-process.ts";

const ADMIN = "admin-token-0123456789abcdef";
const READER = "read-token-0123456789abcdef";
const WAIT_MS = 60_000;
const TOKENS = ["--token-file", "token", "--read-token-file", "readers"];
const TITLE = CHROMIUM === undefined ? "signed in: SKIPPED, chromium is not installed" : "signed in";

let folder = "";
let browser: Browser;
let leader = "";
let standby = "";

async function coordinator(name: string, ...more: string[]): Promise<string> {
  const [port, http] = [String(await freePort()), String(await freePort())];
  const args = ["serve", "--port", port, "--http", http, "--cluster-file", `${name}/cluster.json`, ...TOKENS, ...more];
  await startProgram("runtime", args, folder).ready;
  return `http://127.0.0.1:${http}`;
}

async function asAdmin(target: string, method: string, body: object): Promise<Response> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${ADMIN}` };
  return await fetch(`${leader}${target}`, { method, headers, body: JSON.stringify(body) });
}

async function signedIn(url: string, password: string): Promise<{ page: Page; problems: string[] }> {
  const watched = await openPage(browser, url, { password });
  watched.page.setDefaultTimeout(WAIT_MS);
  await watched.page.locator("#link-text", { hasText: "Live" }).waitFor();
  return watched;
}

async function chosen(page: Page, key: string): Promise<void> {
  await page.getByLabel("Prefix").fill(key);
  await page.getByRole("button", { name: "Search" }).click();
  await page.locator("#key-list").getByRole("button").click();
  await page.getByText("Replicas of slot").waitFor();
}

describe.skipIf(CHROMIUM === undefined)(TITLE, () => {
  beforeAll(async () => {
    buildProgram();
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-signed-in-"));
    fs.writeFileSync(path.join(folder, "token"), `${ADMIN}\n`, { mode: 0o600 });
    fs.writeFileSync(path.join(folder, "readers"), `${READER}\n`, { mode: 0o600 });
    browser = await openBrowser();
    const address = `127.0.0.1:${(await startNode(["0", "--data-dir", "A", ...TOKENS], folder).ready).port}`;
    leader = await coordinator("leader");
    expect((await asAdmin("/admin/nodes", "POST", { id: "A", address })).status).toBe(200);
    standby = await coordinator("standby", "--join", address);
    expect((await asAdmin("/keys/apple", "PUT", { value: "first" })).status).toBe(200);
  }, WAIT_MS);
  afterAll(async () => {
    await browser.close();
    await killNodes();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    ["without a password", undefined],
    ["with a wrong one", "wrong-token-0123456789abcdef"],
  ])("%s there is no page", async (_name, password) => {
    const { page } = await openPage(browser, "about:blank", password === undefined ? {} : { password });
    const answer = await page.goto(leader).catch((error: Error) => error);
    if (answer instanceof Error) expect(answer.message).toMatch(/ERR_INVALID_AUTH_CREDENTIALS/);
    else expect(answer?.status()).toBe(401);
    expect(await page.locator("#ring-canvas").count()).toBe(0);
    await page.close();
  });

  test.each(["the leader", "a standby"])("with an admin's token everything works at %s", async (where) => {
    const { page, problems } = await signedIn(where === "the leader" ? leader : standby, ADMIN);
    await page.locator('tr[data-node="A"]').getByText("up").waitFor();
    await chosen(page, "apple");
    await page.locator("#value").fill(`from ${where}`);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText(/Done: version/).waitFor();
    expect(problems.filter((problem) => !problem.includes("401"))).toEqual([]);
    expect(await page.content()).not.toContain(ADMIN);
    await page.close();
  });

  test("with a reader's token everything is shown, and a change is refused with the reason", async () => {
    const { page } = await signedIn(standby, READER);
    await page.locator('tr[data-node="A"]').getByText("up").waitFor();
    await chosen(page, "apple");
    const before = await page.locator("#value").inputValue();
    await page.locator("#value").fill("by a reader");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText(/this token can only read/).waitFor();
    await page.getByRole("button", { name: "Read again" }).click();
    await expect.poll(() => page.locator("#value").inputValue(), { timeout: WAIT_MS }).toBe(before);
    await page.close();
  });
});
