// Reading TypeScript as text, just well enough for the rules of tidy-rules.ts: blanks comments and strings, and lists
// what a module imports. Not a parser: the linter, which is one, checks the same globals with full precision.

/** One file of the repository, its path relative to the root with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** One `import … from`, `export … from` or `import()`, with the module it names. */
export interface Import {
  readonly specifier: string;
  /** Path of the imported file relative to the root; the specifier itself for packages and `node:` modules. */
  readonly target: string;
}

type Kind = "code" | "comment" | "string";

/** A `/` begins a regular expression, not a division, after one of these or `return`. */
const BEFORE_REGEXP = /(?:^|[=(,:[!&|?{};+]|=>|\breturn)\s*$/;

const PLAIN_TOKENS: readonly { readonly kind: Kind; readonly pattern: RegExp }[] = [
  { kind: "comment", pattern: /\/\/[^\n]*|\/\*[\s\S]*?\*\//y },
  { kind: "string", pattern: /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/y },
];
const REGEXP = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y;
/** Code that can begin nothing else. */
const CODE_RUN = /[^"'`/{}]+/y;
/** From where a template's text begins to its end or to the next expression within it. */
const TEMPLATE_TEXT = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y;

/** Cuts the text into comments, strings and code, in order and without gaps. */
function* tokens(text: string): Generator<{ kind: Kind; text: string }> {
  /** One entry for each template we are in the expressions of: how many braces are open in the present one. */
  const braces: number[] = [];
  let at = 0;
  while (at < text.length) {
    const plain = plainToken(text, at);
    if (plain !== undefined) {
      yield plain;
      at += plain.text.length;
      continue;
    }
    const run = match(CODE_RUN, text, at);
    if (run !== undefined) {
      yield { kind: "code", text: run };
      at += run.length;
      continue;
    }
    const char = text.charAt(at);
    yield { kind: "code", text: char };
    at += 1;
    const open = braces.at(-1) ?? 0;
    if (char === "{" && braces.length > 0) braces[braces.length - 1] = open + 1;
    if (char === "}" && open > 0) braces[braces.length - 1] = open - 1;
    if (char !== "`" && !(char === "}" && braces.length > 0 && open === 0)) continue;
    if (char === "}") braces.pop();
    const template = match(TEMPLATE_TEXT, text, at) ?? "";
    const end = template.endsWith("`") ? 1 : 2;
    yield { kind: "string", text: template.slice(0, -end) };
    yield { kind: "code", text: template.slice(-end) };
    if (end === 2) braces.push(0);
    at += template.length;
  }
}

function plainToken(text: string, at: number): { kind: Kind; text: string } | undefined {
  for (const { kind, pattern } of PLAIN_TOKENS) {
    const found = match(pattern, text, at);
    if (found !== undefined) return { kind, text: found };
  }
  const value = text.charAt(at) === "/" && BEFORE_REGEXP.test(text.slice(Math.max(0, at - 80), at));
  const found = value ? match(REGEXP, text, at) : undefined;
  return found === undefined ? undefined : { kind: "string", text: found };
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function blanked(text: string, kinds: readonly Kind[]): string {
  return [...tokens(text)]
    .map((token) => (kinds.includes(token.kind) ? token.text.replace(/[^\n]/g, " ") : token.text))
    .join("");
}

/** The text without comments. Line numbers stay. */
export function withoutComments(text: string): string {
  return blanked(text, ["comment"]);
}

/** The text without comments and without what stands in strings, so that words found in it are code. */
export function codeOnly(text: string): string {
  return blanked(text, ["comment", "string"]);
}

const IMPORT =
  /(?:^|[;}\n])\s*(?:import|export)\s(?:[\w*{}\s,$]*?\sfrom\s*)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

/** What a module imports or re-exports, types included. */
export function importsOf(file: SourceFile): Import[] {
  const found = withoutComments(file.text).matchAll(IMPORT);
  return [...found].map((match) => {
    const specifier = match[1] ?? match[2] ?? "";
    return { specifier, target: specifier.startsWith(".") ? resolve(file.path, specifier) : specifier };
  });
}

function resolve(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
