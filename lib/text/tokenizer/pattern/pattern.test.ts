import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BoundedMatcher } from "./bounded.ts";
import { parseExpression } from "./expression.ts";
import type { Pattern } from "./matcher.ts";
import { readPattern } from "./pattern.ts";
import { settlesAtOnce } from "./settles.ts";

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const CL100K =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const O200K =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const TEXT = "It's 1993:  déjà-vu, 中文 and 😀!\n\n  The END\t\r\n of 12345 IT'LL\u0085\ufeff   ";

/** The white space of Oniguruma's, in JavaScript's spelling. */
const translated = (source: string) =>
  source.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}");
const regex = (source: string) => readPattern({ Regex: source }, "p");
const found = (pattern: Pattern, text: string) =>
  Array.from(pattern.find(text), ([from, to]) => text.slice(from, to));
const bounded = (source: string) => new BoundedMatcher(parseExpression(source, "p"), "p");
const native = (source: string, text: string) => text.match(new RegExp(source, "gu")) ?? [];

/** Expressions out of few characters, so that a text of those often matches. */
const { expression: anyExpression } = fc.letrec<{ expression: string; item: string; atom: string }>(
  (tie) => ({
    expression: fc
      .array(fc.array(tie("item"), { maxLength: 3 }), { minLength: 1, maxLength: 3 })
      .map((branches) => branches.map((branch) => branch.join("")).join("|")),
    item: fc
      .tuple(tie("atom"), fc.constantFrom("", "", "", "?", "*", "+", "{2}", "{1,}", "{1,3}", "*?", "+?"))
      .map(([atom, quantifier]) => atom + quantifier),
    atom: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom("a", "b", "😀", ".", "[^a]", "[ab]", "\\p{L}", "\\P{L}", "\\u{1f600}", "[\\]b]"),
      fc
        .tuple(fc.constantFrom("(", "(?:", "(?:", "(?<!", "(?=", "(?!"), tie("expression"))
        // JavaScript repeats no look-behind, and we have no need to.
        .map(([open, inner]) =>
          open.startsWith("(?<") || open === "(?=" || open === "(?!"
            ? `(?:${open}${inner}))`
            : `${open}${inner})`,
        ),
    ),
  }),
);
/** As long as one may be. */
const expression = anyExpression.filter((source) => source.length <= 100);
const text = fc.string({ unit: fc.constantFrom("a", "b", "😀", " ", "\n"), maxLength: 12 });

describe("an expression", () => {
  test("finds what JavaScript finds", () => {
    let givenUp = 0;
    fc.assert(
      fc.property(expression, text, (source, text) => {
        let ours: string[];
        try {
          ours = found(bounded(source), text);
        } catch (error) {
          expect((error as Error).message).toContain("takes far more work");
          givenUp++;
          return;
        }
        expect(ours).toEqual(native(source, text));
        expect(bounded(source).replace(text, "$&", 1000)).toBe(text.replace(new RegExp(source, "gu"), "$$&"));
      }),
      { numRuns: 1000 },
    );
    expect(givenUp).toBeLessThan(100);
  });

  test("is left to JavaScript only where that needs few steps", () => {
    const long = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 200, maxLength: 400 });
    let left = 0;
    fc.assert(
      fc.property(
        expression,
        fc.oneof(long, fc.constantFrom("a".repeat(400), `${"a".repeat(400)}b`)),
        (source, text) => {
          if (!settlesAtOnce(parseExpression(source, "p"), source)) return;
          left++;
          expect(found(bounded(source), text)).toEqual(native(source, text)); // throws when it takes many
        },
      ),
      { numRuns: 1000 },
    );
    expect(left).toBeGreaterThan(200);
  });

  test.each(["(?:a?||){2}😀", "(?:a?a?a?){9}b", "(?:(?:a?){3}){3}b"])(
    "%j counts what is inside a group",
    (source) => {
      expect(settlesAtOnce(parseExpression(source, "p"), source)).toBe(false);
    },
  );

  test.each([
    ["many stars", `${"a*".repeat(20)}b`, "a".repeat(40)],
    ["alternatives that may be absent", `${"(?:a|a)?".repeat(40)}b`, "a".repeat(40)],
    ["dots", `${".*".repeat(7)}=x`, "a".repeat(300)],
    ["a repeated group", "(?:a+)+$", `${"a".repeat(40)}b`],
    ["alternatives in a repeated group", "(?:a|a)*b", "a".repeat(40)],
    ["a search for what is not there, from everywhere", "a*b", "a".repeat(10_000)],
    ["looking ahead", "a(?=.*b)", "a".repeat(10_000)],
    ["looking behind", "(?<=b.*)a", "a".repeat(10_000)],
    ["a group without end", "(?:a|b)*c", "ab".repeat(10_000)],
  ])("of %s ends", (_, source, text) => {
    for (const use of [(p: Pattern) => found(p, text), (p: Pattern) => p.replace(text, "x", 1e6)]) {
      expect(() => use(regex(source))).toThrow("takes far more work");
    }
  });

  test.each([GPT2, CL100K, O200K])("in use splits as ever: %#", (source) => {
    const js = translated(source).replaceAll(
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
      "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])",
    );
    const long = [" ".repeat(5000), `${" \n".repeat(3000)}x`, "中".repeat(5000), "A".repeat(5000)];
    for (const text of [TEXT, TEXT.repeat(100), ...long]) {
      expect(found(regex(source), text)).toEqual(native(js, text));
    }
  });

  test.each([
    GPT2,
    CL100K.replace("(?i:", "(?:"),
    " {2,}",
    "[^\\x00-\\x7F]+",
    "\\s+",
    "[\\p{L}']+|\\p{N}|[^\\s]+",
  ])("in use is JavaScript's own, to be fast: %p", (source) => {
    const js = translated(source);
    expect(settlesAtOnce(parseExpression(js, "p"), js)).toBe(true);
  });

  test.each([
    ["(a)\\1", "has \\1, which is not supported"],
    ["(?m:a|b)+", "has (?m:, which is not supported"],
    ["a(?s:.)?", "has (?s:, which is not supported"],
    ["a{1,1000}", "repeats something more than 100 times"],
    ["a".repeat(300), "has more than 100 characters and classes"],
    [`${"(?:".repeat(40)}a${")".repeat(40)}`, "is nested too deeply"],
    ["[a", "is not a supported regular expression"],
  ])("%p is refused", (source, message) => {
    expect(() => regex(source)).toThrow(message);
  });
});

test("a text does not grow beyond what it may", () => {
  const most = fc.integer({ min: 0, max: 200 });
  const content = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(
      fc.constantFrom("a", "b*", "a*b", "(?:a|b)*?"),
      text,
      content,
      most,
      (source, text, content, most) => {
        const whole = text.replace(new RegExp(source, "gu"), content.replaceAll("$", "$$$$"));
        const expected = whole.length > most ? undefined : whole;
        expect(bounded(source).replace(text, content, most)).toBe(expected);
        expect(regex(source).replace(text, content, most)).toBe(expected);
      },
    ),
  );
});

test("a text is found as it is spelt", () => {
  expect(readPattern({ String: "$&." }, "p").replace("a$&.b$&x", "$1", 100)).toBe("a$1b$&x");
  expect(() => readPattern({ String: "a".repeat(300) }, "p")).toThrow("at most 256");
});
