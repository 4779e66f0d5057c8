// The rules that make the layout trustworthy, as functions from files to complaints. A complaint is one line that
// starts with the path. tidy.test.ts applies them to the tree, and to small bad samples, so that each is known to bite.

import { codeOnly, importsOf, type SourceFile, withoutComments } from "./source-text.ts";

export type Rule = (files: readonly SourceFile[]) => string[];

const OURS = ["shared", "storage-node", "coordinator"];
const LINES_MAX = 400;

/**
 * What decides and does not act: folders, and the two files that say what an engine is. Of `shell`, what talks to the
 * terminal lives in shell/io.
 */
const PURE = [
  /^shared\/(?!(?:io|client|bootstrap)\/)/,
  /^storage-node\/(?:core\/|engine\/(?:engine|control-state)\.ts$)/,
  /^coordinator\/(?:ring|cluster|links|election|sequencer|rebalance|repair|views)\//,
  /^coordinator\/(?:compact-answers|coordinator(?:-events)?|leader|metrics|mint|newcomer|not-leading|rejoin|tenure|(?:data-|topology-)?requests)\.ts$/,
  /^coordinator\/shell\/(?!io\/)/,
];

const IMPURE_PACKAGES = ["lmdb", "ndjson", "pino", "commander", "cli-progress", "fastify", "prom-client"];
const IMPURE_WORDS =
  "Date|performance|setTimeout|setInterval|setImmediate|queueMicrotask|process|Buffer|fetch|console|globalThis";
/** As a value or type; not as a property, a key or a declared member. */
const IMPURE_GLOBAL = new RegExp(
  String.raw`(?<![\w$.#])(?:(${IMPURE_WORDS})\b(?!\s*\??:|[\w$])|Math\s*\.\s*random\b)`,
  "g",
);

const isTypeScript = (file: SourceFile): boolean => file.path.endsWith(".ts");
const isScript = (file: SourceFile): boolean => /\.(?:ts|mjs|js)$/.test(file.path);
const isOurs = (file: SourceFile): boolean => isTypeScript(file) && OURS.includes(topOf(file.path));
const isPure = (file: SourceFile): boolean => isOurs(file) && PURE.some((folder) => folder.test(file.path));
const topOf = (path: string): string => path.split("/")[0] ?? "";
const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length;

/** Pure folders import nothing that acts, and use no clock, timer, randomness or process. */
export const pureFoldersArePure: Rule = (files) =>
  files.filter(isPure).flatMap((file) => {
    const code = codeOnly(file.text);
    const words = [...code.matchAll(IMPURE_GLOBAL)].map(
      (match) => `${file.path}:${lineOf(code, match.index)}: ${match[0]} in a pure folder`,
    );
    const imports = importsOf(file).filter(({ specifier, target }) => isImpure(specifier, target));
    return [...words, ...imports.map(({ specifier }) => `${file.path}: imports ${specifier} in a pure folder`)];
  });

function isImpure(specifier: string, target: string): boolean {
  if (specifier.startsWith("node:") || IMPURE_PACKAGES.includes(specifier)) return true;
  const ours = specifier.startsWith(".") && OURS.includes(topOf(target));
  return ours && !PURE.some((folder) => folder.test(target));
}

/** A cluster in one process has both halves: it is part of the package, for the tests of applications. */
const BOTH_HALVES = "coordinator/testing.ts";

/** shared ← storage-node, shared ← coordinator, test → all; nothing else. */
export const importsPointOneWay: Rule = (files) =>
  files.filter(isOurs).flatMap((file) => {
    const allowed = file.path === BOTH_HALVES ? OURS : [topOf(file.path), "shared"];
    const wrong = importsOf(file).filter(
      ({ specifier, target }) => specifier.startsWith(".") && !allowed.includes(topOf(target)),
    );
    return wrong.map(({ target }) => `${file.path}: imports ${target}, which is not ${allowed.join(" or ")}`);
  });

/** No module reaches itself through its imports, type imports included: each can be read before those that use it. */
export const noCycles: Rule = (files) => {
  const graph = new Map(
    files.filter(isTypeScript).map((file) => [file.path, importsOf(file).map(({ target }) => target)]),
  );
  const done = new Set<string>();
  const complaints: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) complaints.push(`${path}: cycle ${[...trail.slice(start), path].join(" → ")}`);
    if (start >= 0 || done.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return complaints;
};

/** A module's exports are its own: no index files, no files that only pass on. */
export const noBarrels: Rule = (files) =>
  files.filter(isTypeScript).flatMap((file) => {
    const code = withoutComments(file.text);
    const complaints: string[] = [];
    if (/(?:^|\/)index\.ts$/.test(file.path))
      complaints.push(`${file.path}: an index file; name it after what it holds`);
    if (/^\s*export\s*\*/m.test(code)) complaints.push(`${file.path}: export *`);
    const rest = code.replace(/(?:export|import)\s+(?:type\s+)?\{[^}]*\}\s*from\s*["'][^"']*["'];?/g, "");
    if (code.trim() !== "" && rest.trim() === "") complaints.push(`${file.path}: only passes on what others export`);
    return complaints;
  });

/** lmdb and ndjson have quirks that one place each knows; what serves REST is loaded where REST is. */
export const librariesHaveOneHome: Rule = (files) =>
  files.filter(isOurs).flatMap((file) => {
    const wrong = importsOf(file).filter(
      ({ specifier }) =>
        (specifier === "lmdb" && file.path !== "storage-node/engine/table.ts") ||
        (specifier === "ndjson" && !file.path.startsWith("shared/io/")) ||
        (/^(?:fastify|ajv)\b/.test(specifier) && !file.path.startsWith("coordinator/http/")),
    );
    return wrong.map(({ specifier }) => `${file.path}: imports ${specifier}; only its one home may`);
  });

export const noDefaultExports: Rule = (files) =>
  files
    .filter((file) => isScript(file) && !file.path.endsWith(".config.ts"))
    .filter((file) => /^\s*export\s+default\b|\bas\s+default\b/m.test(codeOnly(file.text)))
    .map((file) => `${file.path}: a default export; every thing has one name`);

/** Nothing is left for later in a comment. The words are put together here so that this file passes. */
export const nothingLeftForLater: Rule = (files) => {
  const words = new RegExp(`\\b(?:${["TO" + "DO", "FIX" + "ME", "XX" + "X"].join("|")})\\b`);
  return matchingLines(files, words, "is left for later");
};

/** No path of the machine it was written on. */
export const noMachinePaths: Rule = (files) => {
  const folders = ["home", "Users", "root", "work"].join("|");
  return matchingLines(
    files,
    new RegExp(`(?<![\\w.~)\\]}*-])/(?:${folders})/[\\w.-]|\\b[A-Z]:\\\\\\w`),
    "is a path of one machine",
  );
};

/** No host of a package registry: whoever installs uses theirs. */
export const noRegistryHosts: Rule = (files) => {
  const hosts = ["registry\\.np" + "mjs\\.org", "registry\\.yarn" + "pkg\\.com", "npm\\.pkg\\.git" + "hub\\.com"];
  return matchingLines(files, new RegExp(hosts.join("|")), "names a package registry");
};

function matchingLines(files: readonly SourceFile[], pattern: RegExp, complaint: string): string[] {
  return files.flatMap((file) =>
    file.text.split("\n").flatMap((line, index) => {
      const found = pattern.exec(line);
      return found === null ? [] : [`${file.path}:${index + 1}: "${found[0]}" ${complaint}`];
    }),
  );
}

export const noLongFiles: Rule = (files) =>
  files
    .filter((file) => isScript(file) && file.text.trimEnd().split("\n").length > LINES_MAX)
    .map((file) => `${file.path}: over ${LINES_MAX} lines; split it by what its parts are about`);

/** The header is the design: why the file exists. Test files say it with their names. */
export const everyFileHasAHeader: Rule = (files) =>
  files
    .filter((file) => isScript(file) && !file.path.endsWith(".test.ts"))
    .filter((file) => !/^(?:#![^\n]*\n)?(?:\/\/ ?\S|\/\*)/.test(file.text))
    .map((file) => `${file.path}: does not start with a comment that says why it exists`);

const ERROR_TABLE = "shared/errors.ts";

/** Every code of the error table is used, and explained in the table (a comment) or in a README. */
export const errorCodesAreUsedAndDocumented: Rule = (files) => {
  const table = files.find((file) => file.path === ERROR_TABLE);
  if (table === undefined) return [];
  const sources = files
    .filter((file) => isOurs(file) && file.path !== ERROR_TABLE)
    .map((file) => withoutComments(file.text));
  const readmes = files.filter((file) => file.path.endsWith("README.md")).map((file) => file.text);
  return [...tableEntries(table.text)].flatMap(({ code, commented }) => {
    const word = new RegExp(`\\b${code}\\b`);
    const complaints: string[] = [];
    if (!sources.some((text) => word.test(text))) complaints.push(`${ERROR_TABLE}: ${code} is used nowhere`);
    if (!commented && !readmes.some((text) => word.test(text)))
      complaints.push(`${ERROR_TABLE}: ${code} is explained nowhere`);
    return complaints;
  });
};

function* tableEntries(text: string): Generator<{ code: string; commented: boolean }> {
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    const code = /^ {2}([A-Z][A-Z0-9_]+): \{/.exec(line)?.[1];
    if (code === undefined) continue;
    const before = lines[index - 1] ?? "";
    yield { code, commented: line.includes("//") || /^\s*(?:\/\/|\*\/|\/\*\*.*\*\/)/.test(before) };
  }
}

/** The lockfile says what is installed, not from where. */
export const lockfileNamesNoSource: Rule = (files) =>
  files
    .filter((file) => file.path === "package-lock.json" && /"resolved"\s*:/.test(file.text))
    .map((file) => `${file.path}: has "resolved" fields; npm leaves them out with the .npmrc of this repository`);

/** All rules, by the name under which tidy.test.ts reports them. */
export const RULES: Readonly<Record<string, Rule>> = {
  pureFoldersArePure,
  importsPointOneWay,
  noCycles,
  noBarrels,
  librariesHaveOneHome,
  noDefaultExports,
  nothingLeftForLater,
  noMachinePaths,
  noRegistryHosts,
  noLongFiles,
  everyFileHasAHeader,
  errorCodesAreUsedAndDocumented,
  lockfileNamesNoSource,
};
