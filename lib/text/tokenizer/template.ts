import {
  asArray,
  asInteger,
  asObject,
  asString,
  fail,
  type JsonObject,
  pick,
  show,
} from "../../base/json.ts";
import { MAX_TOKEN, type Vocabulary } from "./vocabulary.ts";

/** A part of a template: the tokens of the first or the second text, or one special token. */
export type Part = { text: "A" | "B"; type: number } | { id: number; type: number };

/** Where the special tokens go around one text, and around two. */
export interface Templates {
  single: Part[];
  pair: Part[];
}

type Reader = (config: JsonObject, vocabulary: Vocabulary, where: string) => Templates | undefined;

const MAX_PARTS = 64;
const MAX_TYPE = 255;

const PLAIN: Templates = {
  single: [{ text: "A", type: 0 }],
  pair: [
    { text: "A", type: 0 },
    { text: "B", type: 1 },
  ],
};

/**
 * The post-processors, as Rust `tokenizers` has them. Read here, not by the library, because truncation goes between the model and the
 * template; and the library drops an empty second text and gives RoBERTa's second text the type 1.
 */
const READERS: Record<string, Reader> = {
  TemplateProcessing: (config, vocabulary, where) => ({
    single: readParts(config, "single", "A", vocabulary, where),
    pair: readParts(config, "pair", "AB", vocabulary, where),
  }),
  BertProcessing: (config, vocabulary, where) =>
    bertTemplates(
      readToken(config.cls, vocabulary, `${where}.cls`),
      readToken(config.sep, vocabulary, `${where}.sep`),
    ),
  RobertaProcessing: (config, vocabulary, where) =>
    robertaTemplates(
      readToken(config.cls, vocabulary, `${where}.cls`),
      readToken(config.sep, vocabulary, `${where}.sep`),
    ),
  // It only changes character offsets, which are not computed here.
  ByteLevel: () => undefined,
  Sequence: (config, vocabulary, where) => {
    const all = asArray(config.processors, `${where}.processors`, MAX_PARTS).flatMap((entry, i) => {
      const at = `${where}.processors[${i}]`;
      const processor = asObject(entry, at);
      if (processor.type === "Sequence") fail(at, "is a sequence within a sequence");
      return pick(READERS, processor, at)(processor, vocabulary, at) ?? [];
    });
    if (all.length > 1) fail(where, "has more than one template");
    return all[0];
  },
};

/** [CLS] A [SEP], and [CLS] A [SEP] B [SEP] with another type for the second text. */
export function bertTemplates(cls: number, sep: number): Templates {
  const single: Part[] = [
    { id: cls, type: 0 },
    { text: "A", type: 0 },
    { id: sep, type: 0 },
  ];
  return { single, pair: [...single, { text: "B", type: 1 }, { id: sep, type: 1 }] };
}

/** <s> A </s>, and <s> A </s></s> B </s>. */
export function robertaTemplates(cls: number, sep: number): Templates {
  const end: Part = { id: sep, type: 0 };
  const single: Part[] = [{ id: cls, type: 0 }, { text: "A", type: 0 }, end];
  return { single, pair: [...single, end, { text: "B", type: 0 }, end] };
}

/** Reads `post_processor` (null: no special tokens). */
export function readTemplates(value: unknown, vocabulary: Vocabulary, where: string): Templates {
  if (value === undefined || value === null) return PLAIN;
  const config = asObject(value, where);
  return pick(READERS, config, where)(config, vocabulary, where) ?? PLAIN;
}

export function countSpecials(template: readonly Part[]): number {
  return template.filter((part) => "id" in part).length;
}

/**
 * How many tokens of each text stay when both may have `room` together: "longest first", as Rust `tokenizers` computes it. The longer
 * text gives way until both are equal, then they share; of an odd room the text that was not shorter gets one more.
 */
export function longestFirst(a: number, b: number, room: number): [number, number] {
  if (a + b <= room) return [a, b];
  const shorter = Math.min(a, b);
  let short = shorter;
  let long = shorter > room ? shorter : Math.max(shorter, room - shorter);
  if (short + long > room) {
    short = Math.floor(room / 2);
    long = short + (room % 2);
  }
  return a > b ? [long, short] : [short, long];
}

function readParts(
  config: JsonObject,
  name: string,
  texts: string,
  vocabulary: Vocabulary,
  where: string,
): Part[] {
  const specials = asObject(config.special_tokens ?? {}, `${where}.special_tokens`);
  const parts = asArray(config[name], `${where}.${name}`, MAX_PARTS).flatMap((entry, i): Part[] => {
    const at = `${where}.${name}[${i}]`;
    const part = asObject(entry, at);
    const kind = "Sequence" in part ? "Sequence" : "SpecialToken";
    const body = asObject(part[kind], `${at}.${kind}`);
    const id = asString(body.id, `${at}.${kind}.id`, MAX_TOKEN);
    const type = asInteger(body.type_id ?? 0, `${at}.${kind}.type_id`, 0, MAX_TYPE);
    if (kind === "Sequence") {
      if (id !== "A" && id !== "B") fail(`${at}.Sequence.id`, `must be "A" or "B", not ${show(id)}`);
      return [{ text: id, type }];
    }
    if (!Object.hasOwn(specials, id)) fail(at, `names ${show(id)}, which special_tokens does not define`);
    const special = asObject(specials[id], `${where}.special_tokens[${show(id)}]`);
    return readIds(special, vocabulary, `${where}.special_tokens[${show(id)}]`).map((id) => ({ id, type }));
  });
  const used = parts.flatMap((part) => ("text" in part ? [part.text] : []));
  if (used.toSorted().join("") !== texts) {
    fail(`${where}.${name}`, texts === "A" ? 'must hold "A" once' : 'must hold "A" and "B" once each');
  }
  return parts;
}

function readIds(special: JsonObject, vocabulary: Vocabulary, where: string): number[] {
  return asArray(special.ids, `${where}.ids`, MAX_PARTS).map((id) => {
    if (typeof id !== "number" || vocabulary.tokens[id] === undefined) {
      fail(`${where}.ids`, `names the token id ${show(id)}, which is not in the vocabulary`);
    }
    return id;
  });
}

/** `["[SEP]", 102]` */
function readToken(value: unknown, vocabulary: Vocabulary, where: string): number {
  const [token, id] = asArray(value, where, 2);
  const known = vocabulary.find(asString(token, where, MAX_TOKEN));
  if (known === undefined || known !== id)
    fail(where, `names ${show(value)}, which is not in the vocabulary`);
  return known;
}
