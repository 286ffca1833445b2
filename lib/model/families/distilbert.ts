import { UFFB_RELU } from "../../../ffi/bindings.ts";
import { type Family, trees } from "./family.ts";
import { PRUNED_KEY } from "./heads.ts";
import { FEEDFORWARD_KEY, readTransformer, renamer } from "./transformer.ts";

const LAYER = "distilbert.transformer.layer.L";
const QKV = ["q_lin", "k_lin", "v_lin"];

/** DistilBERT: no token types, no pooler, and names of its own for what is BERT's. */
export const distilbert: Family = {
  modelType: "distilbert",
  encoder: "DistilBertModel",
  sizes: { layers: ["n_layers"], width: ["hidden_dim"], heads: [PRUNED_KEY], feedforward: [FEEDFORWARD_KEY] },
  classifier: { architecture: "DistilBertForSequenceClassification" },
  tokenClassifier: "DistilBertForTokenClassification",
  read: (config) =>
    readTransformer(
      config,
      { layers: "n_layers", hidden: "dim", heads: "n_heads", width: "hidden_dim", activation: "activation" },
      {
        architectures: ["DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification"],
        tokenTypes: 0,
        positionOffset: 0,
        normEps: 1e-12,
        poolActivation: UFFB_RELU,
      },
    ),
  rename: renamer("distilbert.", ["embeddings.", "transformer."], {}),
  roles: [
    { engine: "embed.word", stored: "distilbert.embeddings.word_embeddings.weight" },
    { engine: "embed.position", stored: "distilbert.embeddings.position_embeddings.weight" },
    { engine: "embed.norm.weight", stored: "distilbert.embeddings.LayerNorm.weight" },
    { engine: "embed.norm.bias", stored: "distilbert.embeddings.LayerNorm.bias" },
    {
      engine: "layer.L.attn.qkv.weight",
      stored: QKV.map((part) => `${LAYER}.attention.${part}.weight`),
    },
    { engine: "layer.L.attn.qkv.bias", stored: QKV.map((part) => `${LAYER}.attention.${part}.bias`) },
    { engine: "layer.L.attn.out.weight", stored: `${LAYER}.attention.out_lin.weight` },
    { engine: "layer.L.attn.out.bias", stored: `${LAYER}.attention.out_lin.bias` },
    { engine: "layer.L.norm1.weight", stored: `${LAYER}.sa_layer_norm.weight` },
    { engine: "layer.L.norm1.bias", stored: `${LAYER}.sa_layer_norm.bias` },
    { engine: "layer.L.ffn.in.weight", stored: `${LAYER}.ffn.lin1.weight` },
    { engine: "layer.L.ffn.in.bias", stored: `${LAYER}.ffn.lin1.bias` },
    { engine: "layer.L.ffn.out.weight", stored: `${LAYER}.ffn.lin2.weight` },
    { engine: "layer.L.ffn.out.bias", stored: `${LAYER}.ffn.lin2.bias` },
    ...trees(LAYER),
    { engine: "layer.L.norm2.weight", stored: `${LAYER}.output_layer_norm.weight` },
    { engine: "layer.L.norm2.bias", stored: `${LAYER}.output_layer_norm.bias` },
    { engine: "head.mlm.dense.weight", stored: "vocab_transform.weight" },
    { engine: "head.mlm.dense.bias", stored: "vocab_transform.bias" },
    { engine: "head.mlm.norm.weight", stored: "vocab_layer_norm.weight" },
    { engine: "head.mlm.norm.bias", stored: "vocab_layer_norm.bias" },
    { engine: "head.mlm.decoder.weight", stored: "vocab_projector.weight" },
    { engine: "head.mlm.decoder.bias", stored: "vocab_projector.bias" },
    { engine: "head.pool.dense.weight", stored: "pre_classifier.weight" },
    { engine: "head.pool.dense.bias", stored: "pre_classifier.bias" },
    { engine: "head.class.weight", stored: "classifier.weight" },
    { engine: "head.class.bias", stored: "classifier.bias" },
  ],
  ignored: [/^distilbert\.embeddings\.position_ids$/],
  prefix: "distilbert.",
  heads: [/^vocab_(transform|layer_norm|projector)\./],
};
