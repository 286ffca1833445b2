import { UffbError } from "../../base/errors.ts";
import { asArray, asFlag, asObject, asString, type JsonObject, pick } from "../../base/json.ts";
import { readPattern } from "./pattern/pattern.ts";

type Step = (text: string) => string;
type Reader = (config: JsonObject, where: string, depth: number) => Step[];

const MAX_DEPTH = 8;
const MAX_STEPS = 64;
/** Longest replacement of one match, in UTF-16 units. */
const MAX_CONTENT = 32;
/** Times that a text may grow; Unicode's own compatibility forms reach 18. */
const MAX_GROWTH = 32;

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
  NFC: () => [(text) => text.normalize("NFC")],
  NFD: () => [(text) => text.normalize("NFD")],
  NFKC: () => [(text) => text.normalize("NFKC")],
  NFKD: () => [(text) => text.normalize("NFKD")],
  Lowercase: () => [lowercase],
  StripAccents: () => [(text) => text.replace(/\p{M}/gu, "")],
  Strip: (config, where) => {
    const left = asFlag(config.strip_left, `${where}.strip_left`, false);
    const right = asFlag(config.strip_right, `${where}.strip_right`, false);
    return [(text) => strip(text, left, right)];
  },
  Replace: (config, where) => {
    const pattern = readPattern(config.pattern, `${where}.pattern`);
    const content = asString(config.content, `${where}.content`, MAX_CONTENT);
    return [(text) => pattern.replace(text, content)];
  },
  BertNormalizer: (config, where) => {
    const lower = asFlag(config.lowercase, `${where}.lowercase`, true);
    const steps: Step[] = [];
    if (asFlag(config.clean_text, `${where}.clean_text`, true)) steps.push(cleanText);
    if (asFlag(config.handle_chinese_chars, `${where}.handle_chinese_chars`, true)) {
      steps.push((text) => text.replace(IDEOGRAPH, " $& "));
    }
    if (asFlag(config.strip_accents, `${where}.strip_accents`, lower)) {
      steps.push((text) => text.normalize("NFD").replace(/\p{Mn}/gu, ""));
    }
    if (lower) steps.push(lowercase);
    return steps;
  },
};

/** Reads `normalizer` (null: none) into one function. */
export function readNormalizer(value: unknown, where: string): Step {
  const steps = value === undefined || value === null ? [] : readSteps(value, where, 0);
  if (steps.length > MAX_STEPS)
    throw new UffbError(`${where} has ${steps.length} steps; at most ${MAX_STEPS} are accepted`);
  return (text) => {
    let result = text;
    for (const step of steps) {
      result = step(result);
      if (result.length > MAX_GROWTH * text.length) {
        throw new UffbError(`${where} makes a text ${MAX_GROWTH} times longer; the tokenizer is damaged`);
      }
    }
    return result;
  };
}

function readSteps(value: unknown, where: string, depth: number): Step[] {
  if (depth > MAX_DEPTH) throw new UffbError(`${where} is nested too deeply`);
  const config = asObject(value, where);
  return pick(READERS, config, where)(config, where, depth);
}

/** Character by character, as in Rust: a capital sigma becomes σ even at a word's end. */
function lowercase(text: string): string {
  return text.replaceAll("Σ", "σ").toLowerCase();
}

function cleanText(text: string): string {
  return text.replace(/[\0\uFFFD\p{Cf}\p{Co}]|(?![\t\n\r])\p{Cc}/gu, "").replace(/\p{White_Space}/gu, " ");
}

function strip(text: string, left: boolean, right: boolean): string {
  const space = /\p{White_Space}/u;
  let start = 0;
  let end = text.length;
  if (left) while (start < end && space.test(text.charAt(start))) start++;
  if (right) while (end > start && space.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}
