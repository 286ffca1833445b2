import { ByteLevelPreTokenizer } from "@huggingface/tokenizers";
import { UffbError } from "../../base/errors.ts";
import { asArray, asFlag, asObject, asString, fail, type JsonObject, pick, show } from "../../base/json.ts";
import { readPattern } from "./pattern/pattern.ts";
import { characters } from "./unicode/classes.ts";

/** Cuts a text into words, none of them empty; `atStart` tells whether it begins where the original text begins. */
type Step = (text: string, atStart: () => boolean) => string[];
type Reader = (config: JsonObject, where: string, depth: number) => Step[];

const MAX_DEPTH = 8;
const MAX_STEPS = 16;

/** JavaScript's `\s` has U+FEFF, which Rust's lacks. */
const SPACE = "\\p{White_Space}";

/** GPT-2's words, which RoBERTa shares. */
function byteLevelWords(): string {
  const [letter, number] = [characters("letter"), characters("number")];
  return `'s|'t|'re|'ve|'m|'ll|'d| ?[${letter}]+| ?[${number}]+| ?[^${SPACE}${letter}${number}]+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`;
}

/**
 * The pre-tokenizers. Most are one expression whose matches are the words; the library's own Whitespace splits at every letter beyond
 * ASCII, its Punctuation keeps a run together, its Digits knows ASCII only.
 */
const READERS: Record<string, Reader> = {
  Sequence: (config, where, depth) =>
    asArray(config.pretokenizers, `${where}.pretokenizers`, MAX_STEPS).flatMap((entry, i) =>
      readSteps(entry, `${where}.pretokenizers[${i}]`, depth + 1),
    ),
  Whitespace: () => [whitespace()],
  WhitespaceSplit: () => [matches(`[^${SPACE}]+`)],
  BertPreTokenizer: () => {
    const punctuation = characters("punctuation");
    return [matches(`[^${SPACE}${punctuation}]+|[${punctuation}]`)];
  },
  Punctuation: (config, where) => {
    const behavior = config.behavior ?? "Isolated";
    if (behavior !== "Isolated")
      fail(`${where}.behavior`, `${show(behavior)} is not supported; only "Isolated" is`);
    const punctuation = characters("punctuation");
    return [matches(`[^${punctuation}]+|[${punctuation}]`)];
  },
  Digits: (config, where) => {
    const each = asFlag(config.individual_digits, `${where}.individual_digits`, false);
    return [matches(`[^\\p{N}]+|\\p{N}${each ? "" : "+"}`)];
  },
  Split: readSplit,
  Metaspace: readMetaspace,
  ByteLevel: (config, where) => {
    const prefix = asFlag(config.add_prefix_space, `${where}.add_prefix_space`, true);
    const regex = asFlag(config.use_regex, `${where}.use_regex`, true);
    const bytes = new ByteLevelPreTokenizer({
      type: "ByteLevel",
      add_prefix_space: false,
      trim_offsets: false,
      use_regex: false,
    });
    const steps: Step[] = [(text) => bytes.pre_tokenize(text)];
    if (regex) steps.unshift(matches(byteLevelWords()));
    if (prefix) steps.unshift((text) => [text.startsWith(" ") ? text : ` ${text}`]);
    return steps;
  },
};

/** Reads `pre_tokenizer` (null: none) into a function from normalised text to words. */
export function readPreTokenizer(value: unknown, where: string): Step {
  const steps = value === undefined || value === null ? [] : readSteps(value, where, 0);
  if (steps.length > MAX_STEPS)
    throw new UffbError(`${where} has ${steps.length} steps; at most ${MAX_STEPS} are accepted`);
  const [first = (text: string) => [text], ...rest] = steps;
  if (rest.length === 0) return first;
  return (text, atStart) => {
    let words = first(text, atStart);
    const [start = ""] = words;
    // Unless a step has left something out before it.
    const firstAtStart = () => text.startsWith(start) && atStart();
    for (const step of rest) words = words.flatMap((word, i) => step(word, i === 0 ? firstAtStart : never));
    return words;
  };
}

const never = () => false;

function readSteps(value: unknown, where: string, depth: number): Step[] {
  if (depth > MAX_DEPTH) throw new UffbError(`${where} is nested too deeply`);
  const config = asObject(value, where);
  return pick(READERS, config, where)(config, where, depth);
}

function matches(pattern: string): (text: string) => string[] {
  const words = new RegExp(pattern, "gu");
  return (text) => text.match(words) ?? [];
}

/**
 * ASCII, which is all that UltraFastBERT's normaliser leaves, has a twice faster way to the same words; the expression for all else takes
 * milliseconds to make.
 */
function whitespace(): Step {
  let words: ((text: string) => string[]) | undefined;
  return (text) => {
    if (!/[^\0-\x7F]/.test(text)) return text.match(/\w+|[^\w\s]+/g) ?? [];
    const word = characters("word");
    words ??= matches(`[${word}]+|[^${word}${SPACE}]+`);
    return words(text);
  };
}

function readSplit(config: JsonObject, where: string): Step[] {
  const pattern = readPattern(config.pattern, `${where}.pattern`);
  const invert = asFlag(config.invert, `${where}.invert`, false);
  const removed = config.behavior === "Removed";
  if (!removed && config.behavior !== "Isolated") {
    fail(`${where}.behavior`, `${show(config.behavior)} is not supported; "Isolated" and "Removed" are`);
  }
  // A piece is kept unless it is what the pattern finds (inverted: what lies between) and that is to be removed.
  const keepMatches = !removed || invert;
  const keepRest = !removed || !invert;
  return [
    (text) => {
      const words: string[] = [];
      let end = 0;
      for (const [from, to] of pattern.find(text)) {
        if (keepRest && from > end) words.push(text.slice(end, from));
        if (keepMatches && to > from) words.push(text.slice(from, to));
        end = to;
      }
      if (keepRest && end < text.length) words.push(text.slice(end));
      return words;
    },
  ];
}

/** SentencePiece's spaces: each becomes a visible character that belongs to the word behind it, and the text gets one in front. */
function readMetaspace(config: JsonObject, where: string): Step[] {
  const mark = asString(config.replacement ?? "▁", `${where}.replacement`, 2);
  if ([...mark].length !== 1) fail(`${where}.replacement`, `must be one character, not ${show(mark)}`);
  const scheme = config.prepend_scheme ?? "always";
  if (scheme !== "always" && scheme !== "first" && scheme !== "never")
    fail(`${where}.prepend_scheme`, `${show(scheme)} is not supported; "always", "first" and "never" are`);
  // Files from before there was a scheme.
  const prefix = asFlag(config.add_prefix_space, `${where}.add_prefix_space`, scheme !== "never");
  const always = prefix && scheme === "always";
  const once = prefix && scheme === "first";
  const escaped = `\\u{${mark.codePointAt(0)!.toString(16)}}`;
  const split = asFlag(config.split, `${where}.split`, true)
    ? matches(`${escaped}?[^${escaped}]+|${escaped}`)
    : (text: string) => [text];
  return [
    (text, atStart) => {
      const marked = text.replaceAll(" ", () => mark);
      const prefixed = !marked.startsWith(mark) && (always || (once && atStart()));
      return split(prefixed ? mark + marked : marked);
    },
  ];
}
