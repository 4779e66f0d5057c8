import { describe, expect, test } from "vitest";
import { formatAddress, parseAddress } from "../../../shared/io/address.ts";

describe("addresses", () => {
  test("host:port, a port alone and bracketed IPv6 are understood", () => {
    expect(parseAddress("example.org:7000")).toEqual({ host: "example.org", port: 7000 });
    expect(parseAddress("5001")).toEqual({ host: "127.0.0.1", port: 5001 });
    expect(parseAddress("[::1]:5001")).toEqual({ host: "::1", port: 5001 });
    expect(parseAddress(" localhost:1 ")).toEqual({ host: "localhost", port: 1 });
    expect(parseAddress("[fe80::1%eth0]:65535")).toEqual({ host: "fe80::1%eth0", port: 65_535 });
  });

  test("anything else is refused with the text itself and what was expected", () => {
    const wrong = [
      "",
      ":",
      "host",
      "host:",
      ":80",
      "::1:5001",
      "[::1]",
      "http://a:80",
      "a b:80",
      "a:80/x",
      "a:-1",
      "a:1.5",
    ];
    for (const text of wrong) {
      expect(() => parseAddress(text), text).toThrow(`${JSON.stringify(text)} is no address; expected host:port`);
    }
    expect(() => parseAddress("a:0")).toThrow("has no port from 1 to 65535");
    expect(() => parseAddress("a:65536")).toThrow("has no port from 1 to 65535");
    expect(() => parseAddress(`${"a".repeat(300)}:80`)).toThrow("is no address");
  });

  test("what is formatted parses to the same address", () => {
    for (const text of ["127.0.0.1:7000", "[::1]:5001", "node-3.example.org:80"]) {
      expect(formatAddress(parseAddress(text))).toBe(text);
    }
  });
});
