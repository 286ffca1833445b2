import type { Given, TokenizerClass, TokenizerParts } from "./class.ts";
import { flagOf } from "./said.ts";

function parts({ settings, source, unknown }: Given): TokenizerParts {
  const lowercase = flagOf(settings, "do_lower_case", true, source);
  return {
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: flagOf(settings, "tokenize_chinese_chars", true, source),
      strip_accents: flagOf(settings, "strip_accents", lowercase, source),
      lowercase,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: { type: "WordPiece", unk_token: unknown },
  };
}

export const bert: TokenizerClass = {
  names: [
    "BertTokenizer",
    "ElectraTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
  ],
  model: "WordPiece",
  types: true,
  spellings: { unk: "[UNK]", sep: "[SEP]", pad: "[PAD]", cls: "[CLS]", mask: "[MASK]" },
  parts,
  template: "BertProcessing",
  around: ["cls", "sep"],
};

/** Its models have no token types. */
export const distilbert: TokenizerClass = { ...bert, names: ["DistilBertTokenizer"], types: false };

/** BERT's words with RoBERTa's special tokens. */
export const mpnet: TokenizerClass = {
  names: ["MPNetTokenizer"],
  model: "WordPiece",
  types: false,
  spellings: {
    bos: "<s>",
    eos: "</s>",
    unk: "[UNK]",
    sep: "</s>",
    pad: "<pad>",
    cls: "<s>",
    mask: "<mask>",
  },
  maskTakesSpace: true,
  parts,
  template: "RobertaProcessing",
  around: ["cls", "sep"],
};
