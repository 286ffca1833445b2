import { UFFB_TANH } from "../../../ffi/bindings.ts";
import { type Family, linear, type Role, trees } from "./family.ts";
import { BERT_KEYS, BERT_SIZES, readTransformer, renamer } from "./transformer.ts";

const PARTS = ["query", "key", "value"];

/** The encoder of BERT and, under another prefix, of RoBERTa. */
export function bertEncoder(prefix: string): Role[] {
  const layer = `${prefix}encoder.layer.L`;
  return [
    { engine: "embed.word", stored: `${prefix}embeddings.word_embeddings.weight` },
    { engine: "embed.position", stored: `${prefix}embeddings.position_embeddings.weight` },
    { engine: "embed.type", stored: `${prefix}embeddings.token_type_embeddings.weight` },
    ...linear("embed.norm", `${prefix}embeddings.LayerNorm`),
    ...linear(
      "layer.L.attn.qkv",
      PARTS.map((part) => `${layer}.attention.self.${part}`),
    ),
    ...linear("layer.L.attn.out", `${layer}.attention.output.dense`),
    ...linear("layer.L.norm1", `${layer}.attention.output.LayerNorm`),
    ...linear("layer.L.ffn.in", `${layer}.intermediate.dense`),
    ...linear("layer.L.ffn.out", `${layer}.output.dense`),
    ...trees(layer),
    ...linear("layer.L.norm2", `${layer}.output.LayerNorm`),
  ];
}

/** Google's BERT, as `transformers` writes it. */
export const bert: Family = {
  modelType: "bert",
  encoder: "BertModel",
  sizes: BERT_SIZES,
  classifier: { architecture: "BertForSequenceClassification" },
  tokenClassifier: "BertForTokenClassification",
  read: (config) =>
    readTransformer(config, BERT_KEYS, {
      architectures: ["BertModel", "BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification"],
      tokenTypes: config.size("type_vocab_size", 1, 65_536),
      positionOffset: 0,
      poolActivation: UFFB_TANH,
    }),
  rename: renamer("bert.", ["embeddings.", "encoder.", "pooler."], {
    "cls.predictions.decoder.bias": "cls.predictions.bias",
  }),
  roles: [
    ...bertEncoder("bert."),
    { engine: "head.mlm.dense.weight", stored: "cls.predictions.transform.dense.weight" },
    { engine: "head.mlm.dense.bias", stored: "cls.predictions.transform.dense.bias" },
    { engine: "head.mlm.norm.weight", stored: "cls.predictions.transform.LayerNorm.weight" },
    { engine: "head.mlm.norm.bias", stored: "cls.predictions.transform.LayerNorm.bias" },
    { engine: "head.mlm.decoder.weight", stored: "cls.predictions.decoder.weight" },
    { engine: "head.mlm.decoder.bias", stored: "cls.predictions.bias" },
    { engine: "head.pool.dense.weight", stored: "bert.pooler.dense.weight" },
    { engine: "head.pool.dense.bias", stored: "bert.pooler.dense.bias" },
    { engine: "head.class.weight", stored: "classifier.weight" },
    { engine: "head.class.bias", stored: "classifier.bias" },
  ],
  ignored: [/^bert\.embeddings\.(position_ids|token_type_ids)$/],
  prefix: "bert.",
  heads: [/^bert\.pooler\.dense\./, /^cls\.(predictions|seq_relationship)\./],
};
