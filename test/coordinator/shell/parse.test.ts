import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../../coordinator/shell/catalogue.ts";
import { UsageError } from "../../../coordinator/shell/failure.ts";
import { parseCommand } from "../../../coordinator/shell/parse.ts";
import type { ParsedCommand } from "../../../coordinator/shell/parse.ts";
import { splitWords } from "../../../coordinator/shell/words.ts";

const parse = (line: string): ParsedCommand => parseCommand(splitWords(line), COMMANDS);

/** What the user is told: the fault and what to type instead. */
function refusal(line: string): string {
  try {
    parse(line);
  } catch (error) {
    if (error instanceof UsageError) return `${error.message}; ${error.hint}`;
    throw error;
  }
  return "accepted";
}

describe("parsing a command", () => {
  test("names and aliases in any case, levels in lower case", () => {
    expect(parse("PUT a b ALL")).toMatchObject({
      command: { name: "put" },
      args: { words: { key: "a", value: "b", level: "all" } },
    });
    for (const alias of ["del", "Delete", "REMOVE"]) expect(parse(`${alias} a`).command.name).toBe("del");
    expect(parse("quit").command.name).toBe("exit");
  });

  test("options stand anywhere, with = or without, and end at --", () => {
    expect(parse("put --if-version 3.1 a b").args.options).toEqual({ "if-version": "3.1" });
    expect(parse("put a b --if-version=3.1 --json")).toMatchObject({
      json: true,
      args: { options: { "if-version": "3.1" } },
    });
    expect(parse("put -- --a --b").args.words).toEqual({ key: "--a", value: "--b" });
    expect(parse('put a "--b"').args.words).toEqual({ key: "a", value: "--b" });
    expect(parse("put a -5").args.words).toEqual({ key: "a", value: "-5" });
  });

  test("plan takes a whole command", () => {
    const { args, json } = parse("plan addnode D 5004 --weight 2 --json");
    expect(json).toBe(true);
    expect(args.nested?.command.name).toBe("addnode");
    expect(args.nested?.args).toMatchObject({ words: { id: "D", address: "5004" }, options: { weight: "2" } });
    expect(refusal("plan get a")).toMatch(/unknown command: get/);
    expect(refusal("plan")).toMatch(/missing/);
  });

  test("extra words are refused with the quoted form", () => {
    expect(refusal("put greeting hello world")).toContain('quote it: put greeting "hello world"');
    expect(refusal("put greeting hello big world")).toContain('quote it: put greeting "hello big world"');
    expect(refusal("put greeting hello big world all")).toContain('quote it: put greeting "hello big world" all');
    expect(refusal("get my key one")).toContain('quoted: get "my key one"');
    expect(refusal("show me")).toContain("unexpected word: me");
  });

  test.each([
    ["gte a", "did you mean get?"],
    ["stauts", "did you mean status?"],
    ["xyzzyplugh", "`help` lists the commands"],
    ["get a quorm", "did you mean quorum?"],
    ["get a most", "no level (one, quorum, all)"],
    ["put a", "<value> is missing"],
    ["put a b --if-absnt", "did you mean --if-absent?"],
    ["put a b --consistency all", "usage: put <key> <value> [one|quorum|all]"],
    ["put a b --consistency all", 'as text, quote it: "--consistency"'],
    ["put a b --if-version", "--if-version needs a value"],
    ["removenode A --force=1", "--force takes no value"],
    ["setreplica 0", "whole number from 1 to 16"],
    ["setreplica two", "whole number from 1 to 16"],
    ["addnode a/b 5001", "no node id"],
    ['get ""', "1 to 1024 bytes, this one is empty"],
    [`get ${"é".repeat(513)}`, "this one has 1026"],
  ])("%s is refused: %s", (line, part) => {
    expect(refusal(line)).toContain(part);
  });
});
