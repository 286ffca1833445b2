/** A new UltraFastBERT or crammedBERT: its shape, and the config.json that its original code would have written. */
import { UFFB_HEAD_MLM } from "../../ffi/bindings.ts";
import { type Config, parseConfig } from "./config.ts";
import type { Feedforward } from "./families/feedforward.ts";

export interface ModelShape {
  feedforward: Feedforward;
  layers: number;
  hidden: number;
  heads: number;
  /** Token ids. */
  vocab: number;
  /** Most tokens of an input. */
  maxLength: number;
}

/** Keys that the original does not know are written where they say something. */
function feedforwardSettings(feedforward: Feedforward) {
  switch (feedforward.kind) {
    case "trees": {
      const { trees, depth, dense, output } = feedforward;
      return {
        intermed_type: "fff",
        intermed_size: trees,
        intermed_depth: depth,
        ...(dense && { intermed_dense: dense }),
        ...(output && { [`intermed_${output}`]: true }),
        nonlin: "GELU",
      };
    }
    case "dense":
      return { intermed_type: "ff", intermed_size: feedforward.width, nonlin: "GELU" };
    case "glu":
      return { intermed_type: "ff", intermed_size: feedforward.width, nonlin: "GELUglu" };
    case "none":
      return { intermed_type: "none", nonlin: "GELU" };
  }
}

/** The text of its config.json, as UltraFastBERT's own code has it for masked language modelling. */
export function crammedConfig({ feedforward, layers, hidden, heads, vocab, maxLength }: ModelShape): string {
  const dropout = 0.1; // of fine-tuning; pretraining has none
  const arch = {
    architectures: ["ScriptableCrammedBERT"],
    num_transformer_layers: layers,
    hidden_size: hidden,
    ...feedforwardSettings(feedforward),
    hidden_dropout_prob: dropout,
    norm: "LayerNorm",
    norm_eps: 1e-12,
    norm_scheme: "pre",
    tie_weights: true,
    decoder_bias: false,
    sparse_prediction: 0.25,
    loss: "cross-entropy",
    objective_layout: "MLM",
    embedding: {
      vocab_size: vocab,
      pos_embedding: "scaled-sinusoidal",
      dropout_prob: dropout,
      pad_token_id: 0,
      max_seq_length: maxLength,
      embedding_dim: hidden,
      normalization: true,
      stable_low_precision: false,
    },
    attention: {
      type: "self-attention",
      causal_attention: false,
      num_attention_heads: heads,
      dropout_prob: dropout,
      skip_output_projection: false,
      qkv_bias: false,
      rotary_embedding: false,
      seq_op_in_fp32: false,
      sequence_op: "torch-softmax",
    },
    init: { type: "normal", std: 0.02 },
    ffn_layer_frequency: 1,
    skip_head_transform: true,
    use_bias: false,
    final_norm: true,
    num_labels: null,
    classification_head: {
      pooler: "zero_index",
      include_ff_layer: true,
      head_dim: hidden,
      nonlin: "Tanh",
      classifier_dropout: dropout,
    },
  };
  const config = {
    architectures: ["ScriptableLMForPreTraining"],
    model_type: "crammedBERT",
    torch_dtype: "float32",
    arch,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** The same, read: a masked language model with a tied decoder. @throws UffbError for an impossible shape, naming the setting */
export function newConfig(shape: ModelShape): { text: string; config: Config } {
  const text = crammedConfig(shape);
  const config = parseConfig(text, "this shape");
  const arch = { ...config.arch, labels: 0, headsPresent: UFFB_HEAD_MLM, tied: 1 };
  return { text, config: { ...config, arch } };
}
