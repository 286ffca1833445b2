import { UFFB_TANH } from "../../../ffi/bindings.ts";
import { type Family, linear, trees } from "./family.ts";
import { BERT_KEYS, MAX_SIZE, readTransformer, renamer } from "./transformer.ts";

const LAYER = "albert.encoder.albert_layer_groups.L.albert_layers.0";
const PARTS = ["query", "key", "value"];

/** ALBERT: BERT's encoder behind narrower embeddings, with layers that share their tensors (arXiv 1909.11942). */
export const albert: Family = {
  modelType: "albert",
  encoder: "AlbertModel",
  classifier: { architecture: "AlbertForSequenceClassification" },
  tokenClassifier: "AlbertForTokenClassification",
  read(config) {
    config.only("inner_group_num", 1);
    const groups = config.has("num_hidden_groups") ? config.size("num_hidden_groups", 1, 4096) : 1;
    const settings = readTransformer(config, BERT_KEYS, {
      architectures: [
        "AlbertModel",
        "AlbertForMaskedLM",
        "AlbertForPreTraining",
        "AlbertForSequenceClassification",
      ],
      tokenTypes: config.size("type_vocab_size", 1, 65_536),
      positionOffset: 0,
      poolActivation: UFFB_TANH,
      embedWidth: config.has("embedding_size") ? config.size("embedding_size", 1, MAX_SIZE) : 128,
      distinctLayers: groups,
    });
    if (settings.arch.layers % groups !== 0)
      throw config.bad("num_hidden_groups", "groups of different sizes are not supported");
    return settings;
  },
  rename: renamer("albert.", ["embeddings.", "encoder.", "pooler."], {
    "predictions.decoder.bias": "predictions.bias",
  }),
  roles: [
    { engine: "embed.word", stored: "albert.embeddings.word_embeddings.weight" },
    { engine: "embed.position", stored: "albert.embeddings.position_embeddings.weight" },
    { engine: "embed.type", stored: "albert.embeddings.token_type_embeddings.weight" },
    ...linear("embed.norm", "albert.embeddings.LayerNorm"),
    ...linear("embed.project", "albert.encoder.embedding_hidden_mapping_in"),
    ...linear(
      "layer.L.attn.qkv",
      PARTS.map((part) => `${LAYER}.attention.${part}`),
    ),
    ...linear("layer.L.attn.out", `${LAYER}.attention.dense`),
    ...linear("layer.L.norm1", `${LAYER}.attention.LayerNorm`),
    ...linear("layer.L.ffn.in", `${LAYER}.ffn`),
    ...linear("layer.L.ffn.out", `${LAYER}.ffn_output`),
    ...trees(LAYER),
    ...linear("layer.L.norm2", `${LAYER}.full_layer_layer_norm`),
    ...linear("head.mlm.dense", "predictions.dense"),
    ...linear("head.mlm.norm", "predictions.LayerNorm"),
    { engine: "head.mlm.decoder.weight", stored: "predictions.decoder.weight" },
    { engine: "head.mlm.decoder.bias", stored: "predictions.bias" },
    ...linear("head.pool.dense", "albert.pooler"),
    ...linear("head.class", "classifier"),
  ],
  ignored: [/^albert\.embeddings\.(position_ids|token_type_ids)$/],
  prefix: "albert.",
  heads: [/^albert\.pooler\./, /^predictions\./, /^sop_classifier\./],
};
