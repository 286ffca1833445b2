/** From text to a tokenizer.json with UltraFastBERT's normaliser, pre-tokenizer and templates. */
import type { JsonObject } from "../../base/json.ts";
import { readNormalizer } from "../tokenizer/normalize.ts";
import { readPreTokenizer } from "../tokenizer/pretokenize.ts";
import { WordCounts } from "./count.ts";
import { trainWordPiece } from "./wordpiece.ts";

/** UltraFastBERT's special tokens, by the ids that its tokenizer gives them. */
export const SPECIALS = ["<pad>", "<unk>", "<cls>", "<sep>", "<mask>", "<s>", "</s>"];

/** What each is for, as `transformers` asks. */
const ROLES = {
  bos_token: "<s>",
  eos_token: "</s>",
  unk_token: "<unk>",
  sep_token: "<sep>",
  pad_token: "<pad>",
  cls_token: "<cls>",
  mask_token: "<mask>",
};

/** Quotes, accents and case are evened out, and what is not ASCII then is dropped. */
const NORMALIZER = {
  type: "Sequence",
  normalizers: [
    { type: "Replace", pattern: { String: "``" }, content: '"' },
    { type: "Replace", pattern: { String: "''" }, content: '"' },
    { type: "NFD" },
    { type: "Lowercase" },
    { type: "StripAccents" },
    { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
    { type: "Replace", pattern: { Regex: "[^\\x00-\\x7F]+" }, content: "" },
  ],
};
const PRE_TOKENIZER = { type: "Whitespace" };
const PREFIX = "##";
/** Longest word that WordPiece takes apart; a longer one is unknown. */
const MOST_CHARS = 100;

/**
 * Counts a text's words as UltraFastBERT's tokenizer sees them. Nothing that it does reaches over white space of ASCII, so that what stands between
 * is counted first, and normalised and cut into words only once, however often it comes.
 */
export class VocabularyText {
  readonly #normalize = readNormalizer(NORMALIZER, "normalizer");
  readonly #preTokenize = readPreTokenizer(PRE_TOKENIZER, "pre_tokenizer");
  readonly #raw: WordCounts;

  /** @param most different words that are held; see WordCounts */
  constructor(most?: number) {
    this.#raw = new WordCounts((long) => {
      for (const word of this.#words(long)) if (word.length <= MOST_CHARS) this.#raw.add(word);
    }, most);
  }

  add(text: string): void {
    this.#raw.add(text);
  }

  /** Words that were forgotten for want of room had been seen no more often than this; 0 where all were held. */
  get forgotten(): number {
    return this.#raw.forgotten;
  }

  /** Each word and how often it came. */
  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const [raw, count] of this.#raw)
      for (const word of this.#words(raw))
        if (word.length <= MOST_CHARS) counts.set(word, (counts.get(word) ?? 0) + count);
    return counts;
  }

  #words(text: string): string[] {
    return this.#preTokenize(this.#normalize(text), () => true);
  }
}

export interface VocabularyOptions {
  /** Tokens in all. */
  size: number;
  /** Pairs that come less often are not merged. */
  leastCount: number;
  onProgress?: ((tokens: number) => void) | undefined;
}

/** The tokens of a vocabulary by id. @throws UffbError when it has no room for all characters of the text */
export function learnTokens(counts: ReadonlyMap<string, number>, options: VocabularyOptions): string[] {
  return trainWordPiece(counts, { ...options, specials: SPECIALS, prefix: PREFIX });
}

/** The files of a tokenizer with these tokens, by name. `maxLength`: most tokens of an input, for who reads tokenizer_config.json. */
export function tokenizerFiles(tokens: readonly string[], maxLength: number): Record<string, string> {
  const config = {
    ...ROLES,
    clean_up_tokenization_spaces: true,
    model_max_length: maxLength,
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  const all = {
    "tokenizer.json": tokenizerOf(tokens),
    "tokenizer_config.json": config,
    "special_tokens_map.json": ROLES,
  };
  return Object.fromEntries(
    Object.entries(all).map(([name, value]) => [name, `${JSON.stringify(value, null, 2)}\n`]),
  );
}

function tokenizerOf(tokens: readonly string[]): JsonObject {
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const entry = (token: string) => [token, { id: token, ids: [tokens.indexOf(token)], tokens: [token] }];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIALS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: NORMALIZER,
    pre_tokenizer: PRE_TOKENIZER,
    post_processor: {
      type: "TemplateProcessing",
      single: [text("A"), special("<sep>")],
      pair: [special("<cls>"), text("A"), special("<sep>"), text("B"), special("<sep>")],
      special_tokens: Object.fromEntries(["<cls>", "<sep>"].map(entry)),
    },
    decoder: { type: "WordPiece", prefix: PREFIX, cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "<unk>",
      continuing_subword_prefix: PREFIX,
      max_input_chars_per_word: MOST_CHARS,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    },
  };
}
