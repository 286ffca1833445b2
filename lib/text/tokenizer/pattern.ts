import { SplitPreTokenizer } from "@huggingface/tokenizers";
import { UffbError } from "../../base/errors.ts";
import { asObject, asString, fail } from "../../base/json.ts";

/** Longest regular expression; the longest in use has about 700 characters. */
const MAX_PATTERN = 4096;

/**
 * A `{"String": …}` or `{"Regex": …}` of tokenizer.json as a regular expression with the flags "gu". The expressions are Oniguruma's;
 * the library translates what JavaScript spells otherwise, and rejects what it cannot.
 *
 * A stranger's expression could take exponential time on a harmless text, so groups must not be repeated: without `(…)*`, `(…)+` and
 * `(…){n}`, matching is polynomial in the text. No tokenizer in use needs them.
 */
export function readPattern(value: unknown, where: string): RegExp {
  const config = asObject(value, where);
  if (config.String !== undefined) {
    const text = asString(config.String, `${where}.String`, MAX_PATTERN);
    if (text === "") fail(`${where}.String`, "is empty");
    return new RegExp(text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "gu");
  }
  const at = `${where}.Regex`;
  const source = asString(config.Regex, at, MAX_PATTERN);
  if (source === "") fail(at, "is empty");
  if (repeatsGroup(source))
    fail(at, "repeats a group, which could take forever; only characters and classes may be repeated");
  try {
    const { pattern } = new SplitPreTokenizer({
      type: "Split",
      pattern: { Regex: source },
      behavior: "Isolated",
      invert: false,
    });
    if (pattern) return pattern;
  } catch (error) {
    throw new UffbError(`${at} is not a supported regular expression: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return fail(at, "is not a supported regular expression");
}

/** Whether a `)` outside classes and escapes is followed by `*`, `+` or `{`; or digits refer back to a group. */
function repeatsGroup(source: string): boolean {
  let inClass = 0;
  for (let i = 0; i < source.length; i++) {
    const char = source[i];
    if (char === "\\") {
      i++;
      if (inClass === 0 && /[1-9k]/.test(source[i] ?? "")) return true;
    } else if (char === "[") inClass++;
    else if (char === "]" && inClass > 0) inClass--;
    else if (char === ")" && inClass === 0 && /^\??[*+{]/.test(source.slice(i + 1, i + 3))) return true;
  }
  return false;
}
