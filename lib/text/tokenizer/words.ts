import { BPE } from "@huggingface/tokenizers";
import {
  asArray,
  asFlag,
  asInteger,
  asObject,
  asString,
  fail,
  type JsonObject,
  pick,
  show,
} from "../../base/json.ts";
import { readUnigram } from "./unigram.ts";
import { MAX_TOKEN, Vocabulary } from "./vocabulary.ts";

interface Model {
  /** From one word to the ids of its pieces. */
  encode(word: string): number[];
  /** The unknown token's spelling, if the model has one. */
  unknown: string | undefined;
}

interface Reader {
  vocabulary(value: unknown, where: string): Vocabulary;
  model(config: JsonObject, vocabulary: Vocabulary, where: string): Model;
}

/** Longest word that WordPiece may be asked to cut up; BERT's is 100. */
const MAX_WORD = 256;
/** Longest pieces that are found by trying one length after another: those of BERT have at most 18 units. */
const MAX_TRIED = 64;
const MAX_MERGES = 2_000_000;

/** Words of each generation of the cache, and the longest of them. Text repeats its words, so that nearly all are found. */
const CACHE_WORDS = 16_384;
const CACHE_LENGTH = 32;

const READERS: Record<string, Reader> = {
  WordPiece: { vocabulary: Vocabulary.read, model: readWordPiece },
  BPE: { vocabulary: Vocabulary.read, model: readBpe },
  Unigram: { vocabulary: Vocabulary.readList, model: readUnigram },
};

/** The model of a tokenizer.json, with its vocabulary. */
export class Words {
  readonly vocabulary: Vocabulary;
  readonly #model: Model;
  /** A cache in two generations: when the first is full it replaces the second, so that words not used lately are forgotten. */
  #young = new Map<string, number | number[]>();
  #old = new Map<string, number | number[]>();

  constructor(value: unknown, where: string) {
    const config = { ...asObject(value, where) };
    // Files from before the type was stored.
    config.type ??= Array.isArray(config.vocab)
      ? "Unigram"
      : config.merges === undefined
        ? "WordPiece"
        : "BPE";
    const read = pick(READERS, config, where);
    this.vocabulary = read.vocabulary(config.vocab, `${where}.vocab`);
    this.#model = read.model(config, this.vocabulary, where);
  }

  /** The unknown token's spelling, if the model has one. */
  get unknown(): string | undefined {
    return this.#model.unknown;
  }

  /** Appends the ids of a word's pieces to `out`. */
  encode(word: string, out: number[]): void {
    const ids = this.#young.get(word) ?? this.#find(word);
    if (typeof ids === "number") out.push(ids);
    else for (let i = 0; i < ids.length; i++) out.push(ids[i]!);
  }

  #find(word: string): number | number[] {
    let ids = this.#old.get(word);
    if (ids === undefined) {
      const pieces = this.#model.encode(word);
      ids = pieces.length === 1 ? pieces[0]! : pieces;
    }
    if (word.length > CACHE_LENGTH) return ids;
    if (this.#young.size >= CACHE_WORDS) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(copy(word), ids);
    return ids;
  }
}

/** A word cut from a line keeps the whole line alive; its copy does not. */
function copy(word: string): string {
  const units: number[] = [];
  for (let i = 0; i < word.length; i++) units.push(word.charCodeAt(i));
  return String.fromCharCode(...units);
}

/**
 * WordPiece, greedy from the left: the longest piece that starts the rest of the word, or the unknown token for all of it. The library's
 * tries every end from the word's, in time cubic in its length, and returns spellings; this one starts at the longest piece there is.
 */
function readWordPiece(config: JsonObject, vocabulary: Vocabulary, where: string): Model {
  const spelling = asString(config.unk_token, `${where}.unk_token`, MAX_TOKEN);
  const unknown =
    vocabulary.ids.get(spelling) ?? fail(`${where}.unk_token`, `${show(spelling)} is not in the vocabulary`);
  const prefix = asString(config.continuing_subword_prefix ?? "##", `${where}.continuing_subword_prefix`, 16);
  const at = `${where}.max_input_chars_per_word`;
  const maxChars = asInteger(config.max_input_chars_per_word ?? 100, at, 1, MAX_WORD);
  const { ids } = vocabulary;
  const continuations = new Map<string, number>();
  for (const [token, id] of ids)
    if (token.startsWith(prefix)) continuations.set(token.slice(prefix.length), id);
  const starts = longestPiece(ids, vocabulary.longest);
  const rests = longestPiece(continuations, vocabulary.longest);

  const encode = (word: string) => {
    // Two UTF-16 units a character at most.
    if (word.length > 2 * maxChars || (word.length > maxChars && [...word].length > maxChars))
      return [unknown];
    const pieces: number[] = [];
    for (let start = 0; start < word.length; ) {
      const piece = (start === 0 ? starts : rests)(word, start);
      if (piece === undefined) return [unknown];
      pieces.push(piece.id);
      start = piece.end;
    }
    return pieces;
  };
  return { encode, unknown: spelling };
}

interface Piece {
  id: number;
  end: number;
}

/** Finds the longest of these pieces that a word has at a place. */
function longestPiece(
  ids: ReadonlyMap<string, number>,
  longest: number,
): (word: string, start: number) => Piece | undefined {
  if (longest > MAX_TRIED) return longestInTree(ids);
  return (word, start) => {
    for (let end = Math.min(word.length, start + longest); end > start; end--) {
      const id = ids.get(word.slice(start, end));
      if (id !== undefined) return { id, end };
    }
    return undefined;
  };
}

interface Branch {
  next: Map<number, Branch>;
  id?: number;
}

/** The same letter by letter, since hashing every beginning of a long word takes time cubic in its length. */
function longestInTree(ids: ReadonlyMap<string, number>): (word: string, start: number) => Piece | undefined {
  const root: Branch = { next: new Map() };
  for (const [piece, id] of ids) {
    let branch = root;
    for (let i = 0; i < Math.min(piece.length, 2 * MAX_WORD); i++) {
      const unit = piece.charCodeAt(i);
      let next = branch.next.get(unit);
      if (!next) {
        next = { next: new Map() };
        branch.next.set(unit, next);
      }
      branch = next;
    }
    if (piece.length <= 2 * MAX_WORD) branch.id = id;
  }
  return (word, start) => {
    let found: Piece | undefined;
    let branch: Branch | undefined = root;
    for (let end = start; end < word.length; ) {
      branch = branch.next.get(word.charCodeAt(end++));
      if (!branch) break;
      if (branch.id !== undefined) found = { id: branch.id, end };
    }
    return found;
  };
}

/** Byte pair encoding, the library's. */
function readBpe(config: JsonObject, vocabulary: Vocabulary, where: string): Model {
  if (config.dropout) fail(`${where}.dropout`, "is not supported; it would make the tokens random");
  if (config.continuing_subword_prefix)
    fail(`${where}.continuing_subword_prefix`, "is not supported with BPE");
  const suffix = optionalString(config.end_of_word_suffix, `${where}.end_of_word_suffix`);
  const merges = asArray(config.merges, `${where}.merges`, MAX_MERGES).map((merge, i) => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    const whole =
      Array.isArray(pair) &&
      pair.length === 2 &&
      pair.every((part) => typeof part === "string" && part !== "");
    if (!whole) fail(`${where}.merges[${i}]`, `must be two tokens, not ${show(merge)}`);
    const [left, right] = pair as [string, string];
    for (const token of [left, right, left + right]) {
      if (!vocabulary.ids.has(token))
        fail(`${where}.merges[${i}]`, `makes ${show(token)}, which is not in the vocabulary`);
    }
    return [left, right] as [string, string];
  });
  const unknown = optionalString(config.unk_token, `${where}.unk_token`);
  const unknownId = unknown === undefined ? undefined : vocabulary.ids.get(unknown);
  if (unknown !== undefined && unknownId === undefined)
    fail(`${where}.unk_token`, `${show(unknown)} is not in the vocabulary`);
  const fallback = asFlag(config.byte_fallback, `${where}.byte_fallback`, false);
  const whole = asFlag(config.ignore_merges, `${where}.ignore_merges`, false);
  const bpe = new BPE({
    type: "BPE",
    vocab: config.vocab,
    merges,
    ...(unknown !== undefined && { unk_token: unknown }),
    ...(suffix !== undefined && { end_of_word_suffix: suffix }),
    byte_fallback: fallback,
    ignore_merges: whole,
    fuse_unk: unknown !== undefined && asFlag(config.fuse_unk, `${where}.fuse_unk`, false),
  } as unknown as ConstructorParameters<typeof BPE>[0]);
  // Without an unknown token, characters that the vocabulary lacks are left out before anything is merged, as in Rust; the library keeps them.
  const drops = unknownId === undefined && !fallback;
  const isKnown = (char: string, i: number, all: string[]) =>
    vocabulary.ids.has(suffix !== undefined && i === all.length - 1 ? char + suffix : char);
  const known = (word: string) => [...word].filter(isKnown).join("");
  const encode = (word: string) => {
    const pieces: number[] = [];
    const letters = drops && !(whole && vocabulary.ids.has(word)) ? known(word) : word;
    if (letters === "") return pieces;
    for (const token of bpe([letters])) {
      const id = vocabulary.ids.get(token) ?? unknownId;
      if (id !== undefined) pieces.push(id);
    }
    return pieces;
  };
  return { encode, unknown };
}

function optionalString(value: unknown, where: string): string | undefined {
  return value === undefined || value === null || value === ""
    ? undefined
    : asString(value, where, MAX_TOKEN);
}
