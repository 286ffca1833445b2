import { SplitPreTokenizer } from "@huggingface/tokenizers";
import { UffbError } from "../../../base/errors.ts";
import { asObject, asString, fail } from "../../../base/json.ts";
import { BoundedMatcher } from "./bounded.ts";
import { parseExpression } from "./expression.ts";
import { type Pattern, replaceFound, type Span } from "./matcher.ts";
import { settlesAtOnce } from "./settles.ts";

/** Longest regular expression; the longest in use has about 700 characters. */
const MAX_PATTERN = 4096;
/** Longest text to be found as it is; the longest in use has a few characters. */
const MAX_STRING = 256;

/**
 * Reads a `{"String": …}` or `{"Regex": …}` of tokenizer.json. The expressions are Oniguruma's; the library translates what JavaScript spells
 * otherwise, and rejects what it cannot.
 *
 * A hostile expression can keep JavaScript's own matcher, which cannot be interrupted, busy for ever. So that matcher gets only expressions
 * that need linear time; others are matched by our own, which counts its steps. A linear-time library (RE2) would not do: it is linear for
 * one match, not for all matches in a text, and lacks look-ahead, which GPT-2's expression needs.
 */
export function readPattern(value: unknown, where: string): Pattern {
  const config = asObject(value, where);
  if (config.String !== undefined) {
    const text = asString(config.String, `${where}.String`, MAX_STRING);
    if (text === "") fail(`${where}.String`, "is empty");
    return new NativeMatcher(text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  }
  const at = `${where}.Regex`;
  const source = translate(asString(config.Regex, at, MAX_PATTERN), at);
  const expression = parseExpression(source, at);
  return settlesAtOnce(expression, source)
    ? new NativeMatcher(source)
    : new BoundedMatcher(expression, where);
}

/** An expression of Oniguruma's in JavaScript's spelling, for the flag "u". */
function translate(regex: string, at: string): string {
  if (regex === "") fail(at, "is empty");
  try {
    const { pattern } = new SplitPreTokenizer({
      type: "Split",
      pattern: { Regex: regex },
      behavior: "Isolated",
      invert: false,
    });
    if (pattern) return pattern.source;
  } catch (error) {
    throw new UffbError(`${at} is not a supported regular expression: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return fail(at, "is not a supported regular expression");
}

/** JavaScript's own matcher, for expressions that it matches in linear time. */
class NativeMatcher implements Pattern {
  readonly #regex: RegExp;

  constructor(source: string) {
    this.#regex = new RegExp(source, "gu");
  }

  *find(text: string): Generator<Span> {
    for (const { index, 0: match } of text.matchAll(this.#regex)) yield [index, index + match.length];
  }

  replace(text: string, content: string, most: number): string | undefined {
    // A match may be empty, so that there is one more than there are units.
    if (text.length + content.length * (text.length + 1) > most)
      return replaceFound(this, text, content, most);
    return text.replace(this.#regex, content.includes("$") ? content.replaceAll("$", "$$$$") : content);
  }
}
