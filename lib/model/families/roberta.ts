import { UFFB_GELU, UFFB_TANH } from "../../../ffi/bindings.ts";
import { bertEncoder } from "./bert.ts";
import type { Family, Settings } from "./family.ts";
import type { Section } from "./section.ts";
import { BERT_KEYS, readTransformer, renamer } from "./transformer.ts";

function read(config: Section): Settings {
  const settings = readTransformer(config, BERT_KEYS, {
    architectures: ["RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification"],
    tokenTypes: config.size("type_vocab_size", 1, 65_536),
    // Positions are counted from the one after the padding token's id.
    positionOffset: (config.has("pad_token_id") ? config.size("pad_token_id", 0, 65_535) : 1) + 1,
    normEps: config.has("layer_norm_eps") ? config.number("layer_norm_eps", 0, 1) : 1e-12,
    poolActivation: UFFB_TANH,
  });
  const architectures = config.get("architectures") as string[] | undefined;
  const fills = architectures === undefined || architectures.includes("RobertaForMaskedLM");
  if (fills && settings.arch.activation !== UFFB_GELU)
    throw config.bad("hidden_act", "the head of a RobertaForMaskedLM has gelu, so only that is supported");
  return settings;
}

/** RoBERTa: BERT's encoder, positions that start later, one token type, and heads of its own. */
export const roberta: Family = {
  modelType: "roberta",
  encoder: "RobertaModel",
  classifier: { architecture: "RobertaForSequenceClassification" },
  tokenClassifier: "RobertaForTokenClassification",
  read,
  rename: renamer("roberta.", ["embeddings.", "encoder.", "pooler."], {
    "lm_head.decoder.bias": "lm_head.bias",
  }),
  roles: [
    ...bertEncoder("roberta."),
    { engine: "head.mlm.dense.weight", stored: "lm_head.dense.weight" },
    { engine: "head.mlm.dense.bias", stored: "lm_head.dense.bias" },
    { engine: "head.mlm.norm.weight", stored: "lm_head.layer_norm.weight" },
    { engine: "head.mlm.norm.bias", stored: "lm_head.layer_norm.bias" },
    { engine: "head.mlm.decoder.weight", stored: "lm_head.decoder.weight" },
    { engine: "head.mlm.decoder.bias", stored: "lm_head.bias" },
    { engine: "head.pool.dense.weight", stored: "classifier.dense.weight" },
    { engine: "head.pool.dense.bias", stored: "classifier.dense.bias" },
    { engine: "head.class.weight", stored: "classifier.out_proj.weight" },
    { engine: "head.class.bias", stored: "classifier.out_proj.bias" },
  ],
  ignored: [/^roberta\.embeddings\.(position_ids|token_type_ids)$/],
  prefix: "roberta.",
  heads: [/^roberta\.pooler\.dense\./, /^lm_head\./],
};
