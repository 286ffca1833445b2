import { expect, test } from "bun:test";
import fc from "fast-check";
import { printable, printableLines, quoted } from "./printable.ts";

/** What a terminal may act upon: C0 and C1 codes, overrides of direction, separators, halves of surrogate pairs. */
const unsafe = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i),
  ...[0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e],
  ...[0x2066, 0x2067, 0x2068, 0x2069, 0xd800, 0xdfff],
].map((code) => String.fromCharCode(code));
const text = fc
  .array(fc.oneof(fc.constantFrom(...unsafe), fc.string({ unit: "binary" })))
  .map((parts) => parts.join(""));
const holds = (output: string, allowed = "") =>
  unsafe.filter((char) => !allowed.includes(char) && [...output].includes(char));

test("nothing that steers a terminal comes through, and nothing else changes", () => {
  fc.assert(
    fc.property(text, (text) => {
      expect(holds(printable(text))).toEqual([]);
      expect(holds(quoted(text))).toEqual([]);
      expect(holds(printableLines(text), "\n\t\u001b")).toEqual([]);
    }),
  );
  for (const plain of ["a b", "“é中😀👨‍👩‍👧”", "العربية", "a\\u0041"]) {
    expect(printable(plain)).toBe(plain);
    expect(printableLines(plain)).toBe(plain);
  }
});

test("JSON stays the same value", () => {
  fc.assert(
    fc.property(text, (text) => expect(JSON.parse(printableLines(JSON.stringify([text])))).toEqual([text])),
  );
});

test("of escape sequences, only styles pass between lines", () => {
  expect(printableLines("\u001b[1ma\u001b[22m\n\tb")).toBe("\u001b[1ma\u001b[22m\n\tb");
  expect(printableLines("\u001b[2J\u001b]0;x\u0007\r\u009b31m\u202e")).toBe(
    "\\u001b[2J\\u001b]0;x\\u0007\\u000d\\u009b31m\\u202e",
  );
});

test("white space is a space, so that a text stays on one line", () => {
  expect(printable("a\tb\r\nc\u2028d\u00a0e")).toBe("a b  c d\u00a0e");
});

test("names are short, and in quotes unless plain", () => {
  expect(quoted("encoder.layers.0")).toBe("encoder.layers.0");
  expect(quoted("a b")).toBe('"a b"');
  expect(quoted('\u009b"')).toBe('"\\u009b\\""');
  expect(quoted("x".repeat(200))).toBe(`${"x".repeat(100)}...`);
});
