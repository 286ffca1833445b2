/** The classes whose vocabularies are SentencePiece's. */
import { isObject, type JsonObject } from "../../base/json.ts";
import type { Given, TokenizerClass, TokenizerParts } from "./class.ts";
import { flagOf } from "./said.ts";

/** Words at white space, each with a mark in front; the map of characters is what these classes keep of a normaliser. */
function parts(
  { settings, source, normalizer }: Given,
  unknown: number,
  before: JsonObject[] = [],
): TokenizerParts {
  const space = flagOf(settings, "add_prefix_space", true, source);
  const marks = { type: "Metaspace", replacement: "▁", prepend_scheme: space ? "always" : "never" };
  const all =
    isObject(normalizer) && Array.isArray(normalizer.normalizers) ? normalizer.normalizers : [normalizer];
  const map = all.find((one) => isObject(one) && one.type === "Precompiled");
  const normalizers = [...before, ...(map ? [map] : [])];
  return {
    normalizer: normalizers.length > 0 ? { type: "Sequence", normalizers } : null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [{ type: "WhitespaceSplit" }, { ...marks, split: true }],
    },
    decoder: marks,
    model: { type: "Unigram", unk_id: unknown, byte_fallback: false },
  };
}

const SPELLINGS = {
  bos: "<s>",
  eos: "</s>",
  sep: "</s>",
  cls: "<s>",
  unk: "<unk>",
  pad: "<pad>",
  mask: "<mask>",
};

export const xlmRoberta: TokenizerClass = {
  names: ["XLMRobertaTokenizer"],
  model: "Unigram",
  types: false,
  spellings: SPELLINGS,
  parts: (given) => parts(given, 3),
  template: "RobertaProcessing",
  around: ["bos", "eos"],
};

export const camembert: TokenizerClass = {
  ...xlmRoberta,
  names: ["CamembertTokenizer"],
  maskTakesSpace: true,
  extra: ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
  parts(given) {
    const vocab = Array.isArray(given.vocab) ? given.vocab : [];
    const place = vocab.findIndex((entry) => Array.isArray(entry) && entry[0] === given.unknown);
    return parts(given, Math.max(place, 0));
  },
};

const quotes = (content: string) => ({ type: "Replace", pattern: { String: content }, content: '"' });

export const albert: TokenizerClass = {
  names: ["AlbertTokenizer"],
  model: "Unigram",
  types: false,
  spellings: {
    bos: "[CLS]",
    eos: "[SEP]",
    unk: "<unk>",
    sep: "[SEP]",
    pad: "<pad>",
    cls: "[CLS]",
    mask: "[MASK]",
  },
  parts(given) {
    const { settings, source } = given;
    return parts(given, 1, [
      quotes("``"),
      quotes("''"),
      ...(flagOf(settings, "keep_accents", false, source)
        ? []
        : [{ type: "NFKD" }, { type: "StripAccents" }]),
      ...(flagOf(settings, "do_lower_case", true, source) ? [{ type: "Lowercase" }] : []),
    ]);
  },
  template: "BertProcessing",
  around: ["cls", "sep"],
};
