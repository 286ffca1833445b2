import type { TokenizerClass } from "./class.ts";
import { flagOf } from "./said.ts";

/** Bytes, and a model without an unknown token. */
export const roberta: TokenizerClass = {
  names: ["RobertaTokenizer", "BartTokenizer", "LEDTokenizer", "LongformerTokenizer", "MvpTokenizer"],
  model: "BPE",
  types: false,
  spellings: { bos: "<s>", eos: "</s>", unk: "<unk>", sep: "</s>", pad: "<pad>", cls: "<s>", mask: "<mask>" },
  parts: ({ settings, source }) => ({
    normalizer: null,
    pre_tokenizer: {
      type: "ByteLevel",
      add_prefix_space: flagOf(settings, "add_prefix_space", false, source),
    },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE" },
  }),
  template: "RobertaProcessing",
  around: ["cls", "sep"],
};
