/** Texts, and what a stranger's files do with them. */
import { UffbError } from "../../../lib/base/errors.ts";
import { isObject, readJson } from "../../../lib/base/json.ts";
import type { Checkpoint } from "../../../lib/files/checkpoint.ts";
import { readSentenceSettings } from "../../../lib/model/sentence/settings.ts";
import { type InputOptions, itemsOf, openInput } from "../../../lib/text/input/input.ts";
import { readNormalizer } from "../../../lib/text/tokenizer/normalize.ts";
import { readPreTokenizer } from "../../../lib/text/tokenizer/pretokenize.ts";
import { sentenceFiles } from "../../sentence.ts";
import { decode, encode, type Target } from "./common.ts";

/** Expressions in use, and others. */
const EXPRESSIONS = [
  " {2,}",
  "[^\\x00-\\x7F]+",
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}]*[\\p{Ll}\\p{Lm}]+(?i:'s|'t)?|\\p{N}{1,3}|\\s+",
  "(?:a|a)?b*c+?(?=d)|(?<!e)[[:alpha:]&&[^f]]{2,5}",
];
/** What a repetition would never end on, and every sort of character. */
const TEXTS = [
  "a".repeat(2000),
  `${"ab ".repeat(300)}\n`,
  " \n".repeat(500),
  'Ünï "c" 中文 😀\u0301 12,5%\t\u00a0\ufeff',
];

const pattern = (Regex: string) => ({ Regex });

/** What the lines of an input may be said to be. */
const KINDS: readonly Partial<InputOptions>[] = [
  { inputFormat: "jsonl" },
  { inputFormat: "lines", tabs: "pairs" },
  { inputFormat: "csv" },
  { inputFormat: "tsv", keep: true },
  {},
  { ids: true },
];

/** Reads all inputs in these bytes; the error of the first that is bad. */
async function firstBad(bytes: Uint8Array, kind: Partial<InputOptions>): Promise<string | undefined> {
  let bad: string | undefined;
  async function* stream() {
    yield bytes;
  }
  const input = await openInput({ texts: ["-"], stdin: { isTTY: false, stream }, ...kind });
  for await (const item of itemsOf(input)) {
    if (!("error" in item)) continue;
    if (item.error.includes("a bug")) throw new Error(item.error);
    bad ??= item.error;
  }
  return bad;
}

export const TEXT: Readonly<Record<string, Target>> = {
  // Bytes are an expression.
  pattern: {
    seeds: async () => EXPRESSIONS.map(encode),
    read(bytes) {
      const split = { type: "Split", pattern: pattern(decode(bytes)), behavior: "Isolated", invert: false };
      const words = readPreTokenizer(split, "case");
      const replace = readNormalizer({ type: "Replace", pattern: split.pattern, content: "xy" }, "case");
      for (const text of TEXTS) {
        if (words(text, () => true).join("") !== text) throw new Error("letters were lost");
        replace(text);
      }
    },
  },
  // Bytes are what an expression of a tokenizer is used on.
  text: {
    seeds: async () => TEXTS.map(encode),
    read(bytes) {
      const text = decode(bytes);
      for (const source of EXPRESSIONS) {
        readPreTokenizer({ type: "Split", pattern: pattern(source), behavior: "Isolated" }, "case")(
          text,
          () => true,
        );
      }
    },
  },
  normalizer: {
    seeds: async () =>
      [
        {
          type: "Sequence",
          normalizers: [{ type: "NFKD" }, { type: "Lowercase" }, { type: "StripAccents" }],
        },
        {
          type: "BertNormalizer",
          clean_text: true,
          handle_chinese_chars: true,
          strip_accents: null,
          lowercase: true,
        },
        {
          type: "Sequence",
          normalizers: EXPRESSIONS.map((source) => ({
            type: "Replace",
            pattern: pattern(source),
            content: "$& ",
          })),
        },
      ].map((value) => encode(JSON.stringify(value))),
    read(bytes) {
      const normalize = readNormalizer(readJson(decode(bytes), "case"), "case");
      for (const text of [...TEXTS, "\ufdfa".repeat(1000)]) normalize(text);
    },
  },
  lines: {
    seeds: async () => [
      encode('{"id":7,"text":"a\\tb"}\n'.repeat(50)),
      encode('{"text":"one","id":"x"}\n{"text":"two","text_pair":"three"}\n{"ids":[1,2,3]}\n'),
      encode('{"text":""}\r\n{"text":"\\u00e9"}\n'),
    ],
    async read(bytes) {
      const bad = await firstBad(bytes, KINDS[bytes.length % KINDS.length]!);
      if (bad !== undefined) throw new UffbError(bad);
    },
  },
  // Bytes are the files of a folder by their names, in one object.
  sentence: {
    seeds: async () =>
      [
        sentenceFiles(),
        {
          ...sentenceFiles(),
          "config_sentence_transformers.json": { prompts: { q: "query: " }, default_prompt_name: "q" },
        },
        {},
      ].map((value) => encode(JSON.stringify(value))),
    read(bytes) {
      const folder = readJson(decode(bytes), "case");
      if (!isObject(folder)) throw new UffbError("is not an object");
      const file = (name: string) =>
        Object.hasOwn(folder, name) ? { text: JSON.stringify(folder[name]), source: name } : undefined;
      const moduleTensors = () => undefined;
      readSentenceSettings({ source: "case", file, moduleTensors } as unknown as Checkpoint, 32);
    },
  },
};
