/** A new UltraFastBERT or crammedBERT: its shape, and the config.json that its original code would have written. */
import { UFFB_HEAD_MLM } from "../../ffi/bindings.ts";
import { UsageError } from "../base/errors.ts";
import { type Config, parseConfig } from "./config.ts";

/** What a node puts out, where it is not its activation. */
export type TreeOutput = "linear" | "after";

/**
 * The feedforward layers: trees, perhaps with a dense layer of `dense` neurons beside them, a node putting out its activation or,
 * with `linear`, its logit or, with `after`, its logit, and the layer the activation of the sum of all trees; a dense layer; a gated one (`width` is that of its first matrix, of which half are gates); or none.
 */
export type Feedforward =
  | { kind: "trees"; trees: number; depth: number; dense?: number; output?: TreeOutput }
  | { kind: "dense" | "glu"; width: number }
  | { kind: "none" };

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

const TREES = /^(?:dense:(\d{1,7})\+)?(\d{1,6})x(\d{1,2})(?::(linear|after))?$/;

/**
 * Reads `1x11` (trees x depth), `1x11:linear` (whose nodes put out their logits), `1x11:after` (and the activation comes after their sum), `dense:192+1x11` (with a dense layer beside them),
 * `dense:3072`, `glu:3072` or `none`. @throws UsageError for anything else, naming these
 */
export function parseFeedforward(text: string): Feedforward {
  const [, dense, trees, depth, output] = TREES.exec(text) ?? [];
  if (Number(trees) > 0 && dense !== "0")
    return {
      kind: "trees",
      trees: Number(trees),
      depth: Number(depth),
      ...(dense && { dense: Number(dense) }),
      ...(output && { output: output as TreeOutput }),
    };
  const wide = /^(dense|glu):(\d{1,7})$/.exec(text);
  if (wide && Number(wide[2]) > 0) return { kind: wide[1] as "dense" | "glu", width: Number(wide[2]) };
  if (text === "none") return { kind: "none" };
  throw new UsageError(
    `--shape ${text}: give trees and their depth as 1x11, 1x11:linear, 1x11:after or dense:192+1x11, a dense layer as dense:3072, a gated one as glu:3072, or none`,
  );
}

/** As parseFeedforward reads it. */
export function feedforwardName(feedforward: Feedforward): string {
  switch (feedforward.kind) {
    case "trees": {
      const { trees, depth, dense, output } = feedforward;
      return `${dense ? `dense:${dense}+` : ""}${trees}x${depth}${output ? `:${output}` : ""}`;
    }
    case "none":
      return "none";
    default:
      return `${feedforward.kind}:${feedforward.width}`;
  }
}

/** Neurons of a layer that a token passes. */
export function activeNeurons(feedforward: Feedforward): number {
  switch (feedforward.kind) {
    case "trees":
      return feedforward.trees * (feedforward.depth + 1) + (feedforward.dense ?? 0);
    case "dense":
      return feedforward.width;
    case "glu":
      return feedforward.width / 2;
    case "none":
      return 0;
  }
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
