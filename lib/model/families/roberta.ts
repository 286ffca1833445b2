import { UFFB_TANH } from "../../../ffi/bindings.ts";
import { bertEncoder } from "./bert.ts";
import type { Family, Role } from "./family.ts";
import { BERT_KEYS, BERT_SIZES, onlyGeluFills, readTransformer, renamer } from "./transformer.ts";

/** RoBERTa's head for masked words, which others have, too. */
export const LM_HEAD: readonly Role[] = [
  { engine: "head.mlm.dense.weight", stored: "lm_head.dense.weight" },
  { engine: "head.mlm.dense.bias", stored: "lm_head.dense.bias" },
  { engine: "head.mlm.norm.weight", stored: "lm_head.layer_norm.weight" },
  { engine: "head.mlm.norm.bias", stored: "lm_head.layer_norm.bias" },
  { engine: "head.mlm.decoder.weight", stored: "lm_head.decoder.weight" },
  { engine: "head.mlm.decoder.bias", stored: "lm_head.bias" },
];

/** Its classifier: two layers on the first token. */
export const CLASSIFIER: readonly Role[] = [
  { engine: "head.pool.dense.weight", stored: "classifier.dense.weight" },
  { engine: "head.pool.dense.bias", stored: "classifier.dense.bias" },
  { engine: "head.class.weight", stored: "classifier.out_proj.weight" },
  { engine: "head.class.bias", stored: "classifier.out_proj.bias" },
];

/** BERT's encoder, positions that start later, one token type, and heads of its own. Its classes begin with `name`. */
function family(modelType: string, name: string): Family {
  return {
    modelType,
    encoder: `${name}Model`,
    sizes: BERT_SIZES,
    classifier: { architecture: `${name}ForSequenceClassification` },
    tokenClassifier: `${name}ForTokenClassification`,
    read(config) {
      const settings = readTransformer(config, BERT_KEYS, {
        architectures: [`${name}Model`, `${name}ForMaskedLM`, `${name}ForSequenceClassification`],
        tokenTypes: config.size("type_vocab_size", 1, 65_536),
        // Positions are counted from the one after the padding token's id.
        positionOffset: (config.has("pad_token_id") ? config.size("pad_token_id", 0, 65_535) : 1) + 1,
        poolActivation: UFFB_TANH,
      });
      onlyGeluFills(config, "hidden_act", `${name}ForMaskedLM`, settings.arch.activation);
      return settings;
    },
    rename: renamer("roberta.", ["embeddings.", "encoder.", "pooler."], {
      "lm_head.decoder.bias": "lm_head.bias",
    }),
    roles: [...bertEncoder("roberta."), ...LM_HEAD, ...CLASSIFIER],
    ignored: [/^roberta\.embeddings\.(position_ids|token_type_ids)$/],
    prefix: "roberta.",
    heads: [/^roberta\.pooler\.dense\./, /^lm_head\./],
  };
}

export const roberta = family("roberta", "Roberta");

/** RoBERTa in a hundred languages, of which multilingual-e5 and bge-m3 were made. */
export const xlmRoberta = family("xlm-roberta", "XLMRoberta");

/** RoBERTa in French. */
export const camembert = family("camembert", "Camembert");
