import { UFFB_TANH } from "../../../ffi/bindings.ts";
import { type Family, linear, trees } from "./family.ts";
import { CLASSIFIER, LM_HEAD } from "./roberta.ts";
import { BERT_KEYS, BERT_SIZES, onlyGeluFills, readTransformer, renamer } from "./transformer.ts";

const LAYER = "mpnet.encoder.layer.L";
const QKV = ["q", "k", "v"];

/** MPNet: BERT's encoder without token types, with RoBERTa's heads, and biases by distance in its attention (arXiv 2004.09297). */
export const mpnet: Family = {
  modelType: "mpnet",
  encoder: "MPNetModel",
  sizes: BERT_SIZES,
  classifier: { architecture: "MPNetForSequenceClassification" },
  tokenClassifier: "MPNetForTokenClassification",
  read(config) {
    // Its code takes 32, whatever config.json says.
    config.only("relative_attention_num_buckets", 32);
    const settings = readTransformer(config, BERT_KEYS, {
      architectures: ["MPNetModel", "MPNetForMaskedLM", "MPNetForSequenceClassification"],
      tokenTypes: 0,
      // Whatever the padding token's id is.
      positionOffset: 2,
      poolActivation: UFFB_TANH,
      relativeBuckets: 32,
    });
    onlyGeluFills(config, "hidden_act", "MPNetForMaskedLM", settings.arch.activation);
    return settings;
  },
  rename: renamer("mpnet.", ["embeddings.", "encoder.", "pooler."], {
    "lm_head.decoder.bias": "lm_head.bias",
  }),
  roles: [
    { engine: "embed.word", stored: "mpnet.embeddings.word_embeddings.weight" },
    { engine: "embed.position", stored: "mpnet.embeddings.position_embeddings.weight" },
    ...linear("embed.norm", "mpnet.embeddings.LayerNorm"),
    { engine: "attn.relative", stored: "mpnet.encoder.relative_attention_bias.weight" },
    ...linear(
      "layer.L.attn.qkv",
      QKV.map((part) => `${LAYER}.attention.attn.${part}`),
    ),
    ...linear("layer.L.attn.out", `${LAYER}.attention.attn.o`),
    ...linear("layer.L.norm1", `${LAYER}.attention.LayerNorm`),
    ...linear("layer.L.ffn.in", `${LAYER}.intermediate.dense`),
    ...linear("layer.L.ffn.out", `${LAYER}.output.dense`),
    ...trees(LAYER),
    ...linear("layer.L.norm2", `${LAYER}.output.LayerNorm`),
    ...LM_HEAD,
    ...CLASSIFIER,
  ],
  ignored: [/^mpnet\.embeddings\.position_ids$/],
  prefix: "mpnet.",
  heads: [/^mpnet\.pooler\.dense\./, /^lm_head\./],
};
