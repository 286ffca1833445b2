import type { JsonObject } from "../../base/json.ts";
import type { Role } from "./said.ts";

/**
 * One of the tokenizer classes of `transformers` that make a tokenizer anew: of a tokenizer.json they take the vocabulary only, and the
 * rest follows from tokenizer_config.json.
 */
export interface TokenizerClass {
  /** Its name, and those of classes that do the same. */
  names: readonly string[];
  /** What its vocabulary is for. */
  model: "WordPiece" | "BPE" | "Unigram";
  /** Whether a model is given token types, unless `model_input_names` says otherwise. */
  types: boolean;
  /** How it spells the special tokens that no file names. */
  spellings: Readonly<Partial<Record<Role, string>>>;
  /** The mask takes the white space before it along, where nothing is said of that. */
  maskTakesSpace?: true;
  /** Special tokens without a role, where no file names some. */
  extra?: readonly string[];
  /** The parts of a tokenizer.json, but for the vocabulary, the added tokens and the post-processor. */
  parts(given: Given): TokenizerParts;
  /** The post-processor, and which special tokens it puts first and last. */
  template: "BertProcessing" | "RobertaProcessing";
  around: readonly [first: Role, last: Role];
}

export interface Given {
  /** tokenizer_config.json */
  settings: JsonObject;
  /** How messages call that. */
  source: string;
  /** How the unknown token is spelt. */
  unknown: string;
  vocab: unknown;
  /** That of tokenizer.json. */
  normalizer: unknown;
}

export interface TokenizerParts {
  normalizer: JsonObject | null;
  pre_tokenizer: JsonObject;
  decoder: JsonObject;
  /** Without `vocab` and `merges`. */
  model: JsonObject;
}
