import { UffbError } from "../../base/errors.ts";
import { type JsonObject, readObject } from "../../base/json.ts";
import { type AddedToken, AddedTokenSplitter, enterTokens, readAddedTokens, type Token } from "./added.ts";
import { type Decoder, readDecoder } from "./decode.ts";
import { lowercase, readNormalizer } from "./normalize.ts";
import { readPreTokenizer } from "./pretokenize.ts";
import { readSpanSettings, type Span, type SpanSettings, type Stages, spansOf } from "./spans.ts";
import { findSpecials, type Specials } from "./specials.ts";
import { countSpecials, longestFirst, type Part, readTemplates, type Templates } from "./template.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { Words } from "./words.ts";

export type { Specials, SpecialToken } from "./specials.ts";

/** What a user writes for the mask token, however the tokenizer spells it. */
const MASK = "[MASK]";

export interface Encoding {
  /** Token ids, [tokens], special ones included. */
  ids: Int32Array;
  /** Token types (segments), [tokens]. */
  types: Int32Array;
  /** Tokens of the texts cut off by maxLength. */
  dropped: number;
}

export interface EncodeOptions {
  /** The second text; "" is a real, empty one. Absent: the template for one text. */
  pair?: string;
  /** Most tokens, special ones included; the longer text is cut first. Absent: no limit. */
  maxLength?: number;
  /** Make letters small before the tokenizer's own normalisation. */
  lowercase?: boolean;
  /** Take "[MASK]" literally where the tokenizer spells its mask otherwise, as data sets and other tools do. */
  literal?: boolean;
}

/** What decides beside tokenizer.json how texts are read: all that is absent is as that file has it. */
export interface TokenizerOptions {
  /** Spellings of the special tokens by role ("mask"); null for a role that no token has. */
  named?: Readonly<Record<string, string | null>>;
  /** The tokens to be sought in texts, in the order in which new ones get their ids. */
  added?: readonly Token[];
  /** Where special tokens go; `find` gives a token's id. */
  templates?: (find: (token: string) => number) => Templates;
  /** Most tokens of a text, for callers who have no limit of their own; none when absent. */
  maxLength?: number;
  /** Cut what is too long at its beginning. */
  cutLeft?: boolean;
  /** Take special tokens in a text for plain text. */
  splitSpecials?: boolean;
  /** Give token types; without, all are 0. Absent: true. */
  types?: boolean;
}

/**
 * From text to token ids, as Hugging Face's Rust `tokenizers` does with the same tokenizer.json, except that padding and truncation
 * settings in the file are ignored: the caller decides those. Text that spells a special token exactly ("<mask>", "<sep>") is that token.
 */
export class Tokenizer {
  readonly specials: Specials;
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Most tokens of a text, special ones included, unless the caller says otherwise; Infinity for no limit. */
  readonly maxLength: number;

  readonly #vocabulary: Vocabulary;
  readonly #words: Words;
  readonly #normalize: (text: string) => string;
  readonly #preTokenize: (text: string, atStart: () => boolean) => string[];
  readonly #templates: Templates;
  readonly #special: Set<number>;
  /** Tokens sought in the original text: as they are spelt, and with the user's "[MASK]". */
  readonly #literal: AddedTokenSplitter;
  readonly #original: AddedTokenSplitter;
  /** Tokens sought after normalisation. */
  readonly #normalized: AddedTokenSplitter;
  readonly #cutLeft: boolean;
  readonly #types: boolean;
  readonly #decoder: () => Decoder;
  readonly #spanSettings: () => SpanSettings;

  /**
   * @param json a tokenizer.json, or its text
   * @param source what messages call it
   * @throws UffbError for what is damaged or not supported, naming the place
   */
  static parse(json: string | JsonObject, source: string, options: TokenizerOptions = {}): Tokenizer {
    return new Tokenizer(typeof json === "string" ? readObject(json, source) : json, source, options);
  }

  private constructor(file: JsonObject, source: string, options: TokenizerOptions) {
    const at = (key: string) => `${source}: ${key}`;
    this.#words = new Words(file.model, at("model"));
    this.#vocabulary = this.#words.vocabulary;
    const listed = options.added ?? readAddedTokens(file.added_tokens, at("added_tokens"));
    const added = enterTokens(listed, this.#vocabulary);
    this.#normalize = readNormalizer(file.normalizer, at("normalizer"));
    this.#preTokenize = readPreTokenizer(file.pre_tokenizer, at("pre_tokenizer"));
    this.#templates = options.templates
      ? options.templates((token) => this.#vocabulary.find(token)!)
      : readTemplates(file.post_processor, this.#vocabulary, at("post_processor"));
    this.specials = findSpecials(
      options.named ?? {},
      this.#words.unknown,
      this.#templates,
      added,
      this.#vocabulary,
    );
    this.vocabSize = this.#vocabulary.tokens.length;
    this.#special = new Set(added.filter((token) => token.special).map((token) => token.id));

    this.maxLength = options.maxLength ?? Number.POSITIVE_INFINITY;
    this.#cutLeft = options.cutLeft ?? false;
    this.#types = options.types ?? true;
    const sought = options.splitSpecials ? added.filter(({ special }) => !special) : added;
    const original = sought.filter((token) => !token.normalized).map(spelt);
    this.#literal = new AddedTokenSplitter(original, at("added_tokens"));
    const mask = options.splitSpecials ? undefined : this.#maskToken(added);
    this.#original = mask
      ? new AddedTokenSplitter([...original, spelt(mask), [MASK, mask]], at("added_tokens"))
      : this.#literal;
    this.#normalized = new AddedTokenSplitter(
      sought.filter((token) => token.normalized).map((token) => [this.#normalize(token.content), token]),
      at("added_tokens"),
    );
    let spanSettings: SpanSettings | undefined;
    this.#spanSettings = () => {
      spanSettings ??= readSpanSettings(file);
      return spanSettings;
    };
    let decoder: Decoder | undefined;
    this.#decoder = () => {
      decoder ??= readDecoder(file.decoder, added, at("decoder"));
      return decoder;
    };
  }

  /**
   * @throws UffbError when maxLength has no room for the template's special tokens
   */
  encode(text: string, options: EncodeOptions = {}): Encoding {
    const { pair, maxLength = Number.POSITIVE_INFINITY, literal = false } = options;
    const splitter = literal ? this.#literal : this.#original;
    const normalize = options.lowercase
      ? (piece: string) => this.#normalize(lowercase(piece))
      : this.#normalize;
    const a = this.#tokens(text, splitter, normalize);
    const b = pair === undefined ? [] : this.#tokens(pair, splitter, normalize);
    const template = pair === undefined ? this.#templates.single : this.#templates.pair;
    const room = maxLength - countSpecials(template);
    // NaN is no room either.
    if (!(room >= 0)) {
      throw new UffbError(
        `a maximum of ${maxLength} tokens has no room for the ${countSpecials(template)} special ones`,
      );
    }
    const [keepA, keepB] = longestFirst(a.length, b.length, Math.floor(room));
    return {
      ...fillTemplate(template, this.#kept(a, keepA), this.#kept(b, keepB), this.#types),
      dropped: a.length - keepA + b.length - keepB,
    };
  }

  /**
   * Where the tokens of `encode(text, { literal: true })` lie in the text, [tokens]; undefined for a template's. `dropped` of its tokens were
   * cut off, so that there are `length` with the template's.
   */
  spans(text: string, length: number, dropped: number): (Span | undefined)[] {
    const stages: Stages = {
      split: (whole) => this.#literal.split(whole),
      normalize: this.#normalize,
      splitNormalized: (part) => this.#normalized.split(part),
      words: (part, atStart) => this.#preTokenize(part, () => atStart),
      encode: (word) => {
        const ids: number[] = [];
        this.#words.encode(word, ids);
        return ids;
      },
      token: (id) => this.token(id),
    };
    const all = spansOf(text.toWellFormed(), stages, this.#spanSettings());
    const template = this.#templates.single;
    const room = length - countSpecials(template);
    const kept = dropped > 0 && this.#cutLeft ? all.slice(all.length - room) : all.slice(0, room);
    return template.flatMap((part) => ("id" in part ? [undefined] : kept));
  }

  /**
   * Whether a token goes on with the word before it, as the token-classification pipeline of `transformers` finds out: by the length of its
   * spelling where pieces within words are marked, else by the space before it. `points` are the text's code points.
   */
  continues(id: number, [start, end]: Span, points: readonly string[]): boolean {
    if (id === this.specials.unk?.id) return false;
    if (this.#spanSettings().prefix !== "") return [...this.token(id)].length !== end - start;
    return start > 0 && !points.slice(start - 1, start + 1).includes(" ");
  }

  /** The `keep` tokens that stay of a text. */
  #kept(tokens: number[], keep: number): number[] {
    if (keep === tokens.length) return tokens;
    return this.#cutLeft ? tokens.slice(tokens.length - keep) : tokens.slice(0, keep);
  }

  /** Whether the vocabulary holds this id. */
  has(id: number): boolean {
    return this.#vocabulary.tokens[id] !== undefined;
  }

  /** Whether it is a token of the template or another with a role, none of the text's own. */
  isSpecial(id: number | undefined): boolean {
    return id !== undefined && this.#special.has(id);
  }

  /** The spelling of a token. An id that the vocabulary lacks, such as a model's padding rows, is shown as "<id N>". */
  token(id: number): string {
    return this.#vocabulary.tokens[id] ?? `<id ${id}>`;
  }

  /** Whether tokens hold the spaces of a text, and are spelt in an alphabet of their own (bytes, or marks for spaces). */
  get spaced(): boolean {
    return this.#decoder().piece !== undefined;
  }

  /** A token for people: as it stands within a text, a space in front if it begins a word, where that is not how the vocabulary spells it. */
  text(id: number): string {
    const { piece } = this.#decoder();
    return piece && this.has(id) ? piece(this.token(id)) : this.token(id);
  }

  /** Token ids as text again, special tokens left out; normalisation cannot be undone. */
  decode(ids: Iterable<number>): string {
    const tokens: string[] = [];
    for (const id of ids) if (!this.#special.has(id)) tokens.push(this.token(id));
    return this.#decoder().decode(tokens);
  }

  /** The ids of one text, without template. */
  #tokens(text: string, splitter: AddedTokenSplitter, normalize: (text: string) => string): number[] {
    const ids: number[] = [];
    let done = 0;
    for (const piece of splitter.split(text.toWellFormed())) {
      if (typeof piece === "number") ids.push(piece);
      else {
        // Not where normalisation takes the first character away.
        let atStart = done > 0 ? never : () => normalize(String.fromCodePoint(piece.codePointAt(0)!)) !== "";
        for (const part of this.#normalized.split(normalize(piece))) {
          if (typeof part === "number") ids.push(part);
          else if (part !== "")
            for (const word of this.#preTokenize(part, atStart)) this.#words.encode(word, ids);
          atStart = never;
        }
      }
      done++;
    }
    return ids;
  }

  /** The mask as a token to be sought in the text; its entry among the added tokens, where it has one. */
  #maskToken(added: readonly AddedToken[]): AddedToken | undefined {
    const { mask } = this.specials;
    if (!mask) return undefined;
    const plain = { singleWord: false, lstrip: false, rstrip: false, normalized: false, special: true };
    return added.find((token) => token.id === mask.id) ?? { id: mask.id, content: mask.token, ...plain };
  }
}

const never = () => false;

function spelt(token: AddedToken): [string, AddedToken] {
  return [token.content, token];
}

function fillTemplate(
  template: readonly Part[],
  a: readonly number[],
  b: readonly number[],
  withTypes: boolean,
): { ids: Int32Array; types: Int32Array } {
  const length = countSpecials(template) + a.length + b.length;
  const ids = new Int32Array(length);
  const types = new Int32Array(length);
  let at = 0;
  for (const part of template) {
    const start = at;
    if ("id" in part) ids[at++] = part.id;
    else {
      const tokens = part.text === "A" ? a : b;
      ids.set(tokens, at);
      at += tokens.length;
    }
    if (withTypes && part.type !== 0) types.fill(part.type, start, at);
  }
  return { ids, types };
}
