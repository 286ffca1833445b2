import { UffbError } from "../../base/errors.ts";
import { asArray, asFlag, asObject, asString, type JsonObject, pick } from "../../base/json.ts";
import { readPattern } from "./pattern/pattern.ts";
import { readCharsMap } from "./precompiled.ts";
import { characters, type Property } from "./unicode/classes.ts";

/** Gives a text of at most `most` UTF-16 units, or undefined where it would be longer. */
type Step = (text: string, most: number) => string | undefined;
type Reader = (config: JsonObject, where: string, depth: number) => Step[];

const MAX_DEPTH = 8;
const MAX_STEPS = 64;
/** Longest replacement of one match, in UTF-16 units. */
const MAX_CONTENT = 32;
/** UTF-16 units that a text may grow to: one character to the 18 of Unicode's longest compatibility form, a long text to several times its length. */
const longest = (length: number) => Math.min(32 * length, 4 * length + (1 << 16));
/** Units normalised at once to find out how much a long text grows. */
const PIECE = 1 << 16;

/** What no normal form changes and no mark is in. To make the expressions for all else takes milliseconds, so that is left until they are needed. */
const ASCII = /^[\0-\x7F]*$/;

/** CJK ideographs, in the ranges of Rust `tokenizers` (which has 2B920 where Unicode's block starts at 2B820). */
const IDEOGRAPH =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

/**
 * The normalisers. Written here where the library's differ from Rust `tokenizers`: its BertNormalizer misses ideographs beyond U+FFFF and
 * takes a microsecond a character, its lower case knows the final sigma, its Replace reads "$" in the content as a reference.
 */
const READERS: Record<string, Reader> = {
  Sequence: (config, where, depth) =>
    asArray(config.normalizers, `${where}.normalizers`, MAX_STEPS).flatMap((entry, i) =>
      readSteps(entry, `${where}.normalizers[${i}]`, depth + 1),
    ),
  NFC: () => [normalise("NFC")],
  NFD: () => [normalise("NFD")],
  NFKC: () => [normalise("NFKC")],
  NFKD: () => [normalise("NFKD")],
  Lowercase: () => [lowercase],
  StripAccents: () => [without("mark")],
  Strip: (config, where) => {
    const left = asFlag(config.strip_left, `${where}.strip_left`, false);
    const right = asFlag(config.strip_right, `${where}.strip_right`, false);
    return [(text) => strip(text, left, right)];
  },
  Replace: (config, where) => {
    const pattern = readPattern(config.pattern, `${where}.pattern`);
    const content = asString(config.content, `${where}.content`, MAX_CONTENT);
    return [(text, most) => pattern.replace(text, content, most)];
  },
  Precompiled: (config, where) => [
    readCharsMap(config.precompiled_charsmap, `${where}.precompiled_charsmap`),
  ],
  BertNormalizer: (config, where) => {
    const lower = asFlag(config.lowercase, `${where}.lowercase`, true);
    const steps: Step[] = [];
    if (asFlag(config.clean_text, `${where}.clean_text`, true)) steps.push(without("control"), plainSpaces);
    if (asFlag(config.handle_chinese_chars, `${where}.handle_chinese_chars`, true)) {
      steps.push((text) => text.replace(IDEOGRAPH, " $& "));
    }
    if (asFlag(config.strip_accents, `${where}.strip_accents`, lower)) {
      steps.push(normalise("NFD"), without("nonspacing"));
    }
    if (lower) steps.push(lowercase);
    return steps;
  },
};

/** Reads `normalizer` (null: none) into one function. */
export function readNormalizer(value: unknown, where: string): (text: string) => string {
  const steps = value === undefined || value === null ? [] : readSteps(value, where, 0);
  if (steps.length > MAX_STEPS)
    throw new UffbError(`${where} has ${steps.length} steps; at most ${MAX_STEPS} are accepted`);
  return (text) => {
    const most = longest(text.length);
    let result = text;
    for (const step of steps) {
      const next = step(result, most);
      if (next === undefined || next.length > most) {
        throw new UffbError(
          `${where} makes a text of ${text.length} characters longer than ${most}; the tokenizer is damaged`,
        );
      }
      result = next;
    }
    return result;
  };
}

function readSteps(value: unknown, where: string, depth: number): Step[] {
  if (depth > MAX_DEPTH) throw new UffbError(`${where} is nested too deeply`);
  const config = asObject(value, where);
  return pick(READERS, config, where)(config, where, depth);
}

/**
 * One of Unicode's normal forms, the longest of which have 18 times the units of what they stand for. Characters that are newer than Rust's
 * tables stand for themselves: the forms of all others are the same in every version, so what lies between is normalised.
 */
function normalise(form: "NFC" | "NFD" | "NFKC" | "NFKD"): Step {
  let known: RegExp | undefined;
  let newer: RegExp | undefined;
  const whole = (text: string) => {
    newer ??= new RegExp(`[^\\0-\\x7F${characters("active")}]`, "u");
    if (!newer.test(text)) return text.normalize(form);
    known ??= new RegExp(`[${characters("active")}]+`, "gu");
    return text.replace(known, (part) => part.normalize(form));
  };
  return (text, most) => {
    if (ASCII.test(text)) return text;
    for (let at = 0, units = 0; text.length > PIECE && at < text.length; at += PIECE) {
      units += text.slice(at, at + PIECE).normalize(form).length;
      if (units > most) return undefined;
    }
    return whole(text);
  };
}

/** Character by character, as in Rust: a capital sigma becomes σ even at a word's end. */
export function lowercase(text: string): string {
  return text.replaceAll("Σ", "σ").toLowerCase();
}

function without(property: Property): (text: string) => string {
  let some: RegExp | undefined;
  return (text) => {
    if (property !== "control" && ASCII.test(text)) return text;
    some ??= new RegExp(`[${characters(property)}]+`, "gu");
    return text.replace(some, "");
  };
}

function plainSpaces(text: string): string {
  return text.replace(/\p{White_Space}/gu, " ");
}

function strip(text: string, left: boolean, right: boolean): string {
  const space = /\p{White_Space}/u;
  let start = 0;
  let end = text.length;
  if (left) while (start < end && space.test(text.charAt(start))) start++;
  if (right) while (end > start && space.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}
