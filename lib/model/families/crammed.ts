import {
  UFFB_FFN_DENSE,
  UFFB_FFN_FFF,
  UFFB_FFN_GLU,
  UFFB_LEARNED,
  UFFB_POOL_FIRST,
  UFFB_POOL_LSE,
  UFFB_POOL_MAX,
  UFFB_POOL_MEAN,
  UFFB_PRE_NORM,
  UFFB_SINUSOIDAL,
  UFFB_TREES_ACTIVATE,
  UFFB_TREES_ACTIVATE_SUM,
  UFFB_TREES_LINEAR,
} from "../../../ffi/bindings.ts";
import { PLAIN } from "../../../ffi/plain.ts";
import { activationsOf } from "./activations.ts";
import { type Family, MAX_LABELS, readPadding, type Settings, type Switch } from "./family.ts";
import { canCount, MAX_DEPTH, NO_TREES } from "./feedforward.ts";
import { PRUNED_KEY, readHeads } from "./heads.ts";
import type { Section } from "./section.ts";

/** Names of torch.nn classes. With "glu" appended, the first half of the layer is multiplied by the activated second half. */
const FEEDFORWARD_ACTIVATIONS: Record<string, { activation: number; gated: boolean }> = {};
for (const [name, activation] of Object.entries(activationsOf("torch"))) {
  FEEDFORWARD_ACTIVATIONS[name] = { activation, gated: false };
  FEEDFORWARD_ACTIVATIONS[`${name}glu`] = { activation, gated: true };
}

const POSITIONS = {
  "scaled-sinusoidal": { positions: UFFB_SINUSOIDAL, scaled: true },
  sinusoidal: { positions: UFFB_SINUSOIDAL, scaled: false },
  learned: { positions: UFFB_LEARNED, scaled: false },
};

const POOLERS = { zero_index: UFFB_POOL_FIRST, avg: UFFB_POOL_MEAN, max: UFFB_POOL_MAX, lse: UFFB_POOL_LSE };

const MAX_SIZE = 2 ** 24;
/** Elements of the table of sinusoids, which no tensor of the file vouches for: 64 MB. */
const MAX_SINUSOIDS = 2 ** 24;
/**
 * The original's `ff` and `fff`. Ours alone: `intermed_type` "none", for blocks that end with attention; `intermed_dense`, neurons of a dense
 * layer beside the trees; `intermed_linear`, true where a node puts out its logit in place of its activation; and `intermed_after`, true where
 * it does so, too, and the layer puts out the activation of the sum.
 */
function feedforward(arch: Section) {
  const kind = arch.choice("intermed_type", { ff: "ff", fff: "fff", none: "none" }, "ff");
  const { activation, gated } = arch.choice("nonlin", FEEDFORWARD_ACTIVATIONS);
  if (kind === "none") {
    arch.ignore("intermed_size", "intermed_depth");
    return { ...NO_TREES, feedforward: UFFB_FFN_DENSE, activation, width: 0 };
  }
  const size = arch.size("intermed_size", 1, MAX_SIZE);
  if (kind === "ff") {
    arch.ignore("intermed_depth");
    if (gated && size % 2 !== 0)
      throw arch.bad("intermed_size", "a gated feedforward layer needs an even one");
    return {
      ...NO_TREES,
      feedforward: gated ? UFFB_FFN_GLU : UFFB_FFN_DENSE,
      activation,
      width: size,
    };
  }
  if (gated) throw arch.bad("nonlin", "a fast feedforward layer has no gates");
  const depth = arch.size("intermed_depth", 0, MAX_DEPTH);
  if (!canCount({ trees: size, depth })) throw arch.bad("intermed_size", `too many trees of depth ${depth}`);
  const width = arch.has("intermed_dense") ? arch.size("intermed_dense", 0, MAX_SIZE) : 0;
  return { feedforward: UFFB_FFN_FFF, activation, width, trees: size, depth, treeOutput: treeOutput(arch) };
}

function treeOutput(arch: Section): number {
  const linear = arch.flag("intermed_linear", false);
  if (!arch.flag("intermed_after", false)) return linear ? UFFB_TREES_LINEAR : UFFB_TREES_ACTIVATE;
  if (linear) throw arch.bad("intermed_linear", "intermed_after is true, too; one of the two can be");
  return UFFB_TREES_ACTIVATE_SUM;
}

function read(config: Section): Settings {
  const arch = config.section("arch");
  const embedding = arch.section("embedding");
  const attention = arch.section("attention");
  const head = arch.section("classification_head");

  const vocab = embedding.size("vocab_size", 1, MAX_SIZE);
  const hidden = arch.size("hidden_size", 1, 65_536);
  const layers = arch.size("num_transformer_layers", 1, 4096);
  const heads = readHeads(
    attention,
    { hidden: "hidden_size", heads: "num_attention_heads" },
    { hidden, layers },
  );
  const { positions, scaled } = embedding.choice("pos_embedding", POSITIONS);
  const maxLength = embedding.size("max_seq_length", 1, 65_536);
  if (positions === UFFB_SINUSOIDAL && maxLength * hidden > MAX_SINUSOIDS) {
    throw embedding.bad("max_seq_length", `too long for hidden_size ${hidden}`);
  }

  arch.only("norm", "LayerNorm");
  arch.only("norm_scheme", "pre");
  arch.only("ffn_layer_frequency", 1);
  embedding.only("embedding_dim", hidden);
  attention.only("type", "self-attention");
  attention.only("causal_attention", false);
  attention.only("rotary_embedding", false);
  attention.only("skip_output_projection", false);
  attention.only("sequence_op", "torch-softmax");

  const includesDense = head.flag("include_ff_layer", true);
  const switches: [Switch, boolean][] = [
    ["bias", arch.flag("use_bias", false)],
    ["qkvBias", attention.flag("qkv_bias", false)],
    ["decoderBias", arch.flag("decoder_bias", false)],
    ["positionScale", scaled],
  ];
  const settings: Settings = {
    arch: {
      layers,
      hidden,
      vocab,
      maxLength,
      positionOffset: 0,
      tokenTypes: 0,
      ...feedforward(arch),
      poolWidth: includesDense ? head.size("head_dim", 1, MAX_SIZE) : 0,
      labels: arch.has("num_labels") ? arch.size("num_labels", 1, MAX_LABELS) : 0,
      normEps: arch.number("norm_eps", 0, 1),
      normPosition: UFFB_PRE_NORM,
      positions,
      poolActivation: head.choice("nonlin", FEEDFORWARD_ACTIVATIONS).activation,
      pooling: head.choice("pooler", POOLERS),
      ...PLAIN,
      ...heads,
      embedNorm: Number(embedding.flag("normalization", true)),
      finalNorm: Number(arch.flag("final_norm", true)),
      headsPresent: 0,
      mlmTransform: Number(!arch.flag("skip_head_transform", true)),
      tied: 0,
    },
    padding: readPadding(embedding, vocab),
    switches: new Set(switches.filter(([, on]) => on).map(([name]) => name)),
    mayTie: arch.flag("tie_weights", true),
  };

  arch.ignore("architectures", "num_labels", "init", "loss", "objective_layout", "sparse_prediction");
  arch.ignore("hidden_dropout_prob");
  embedding.ignore("dropout_prob", "stable_low_precision");
  attention.ignore("dropout_prob", "seq_op_in_fp32");
  head.ignore("classifier_dropout", "head_dim");
  for (const section of [arch, embedding, attention, head]) section.finish();
  return settings;
}

/** UltraFastBERT and crammedBERT, as the original PyTorch code writes them. */
export const crammed: Family = {
  modelType: "crammedBERT",
  read,
  emptyPair: true,
  sizes: {
    layers: ["arch", "num_transformer_layers"],
    width: ["arch", "intermed_size"],
    heads: ["arch", "attention", PRUNED_KEY],
  },
  classifier: {
    architecture: "ScriptableLMForSequenceClassification",
    counts: [["num_labels"], ["arch", "num_labels"]],
  },
  roles: [
    { engine: "embed.word", stored: "encoder.embedding.word_embedding.weight" },
    {
      engine: "embed.position.scale",
      stored: "encoder.embedding.pos_embedding.scale_factor",
      when: "positionScale",
    },
    { engine: "embed.position", stored: "encoder.embedding.pos_embedding.embedding.weight" },
    { engine: "embed.norm.weight", stored: "encoder.embedding.norm.weight" },
    { engine: "embed.norm.bias", stored: "encoder.embedding.norm.bias" },
    { engine: "layer.L.norm1.weight", stored: "encoder.layers.L.norm1.weight" },
    { engine: "layer.L.norm1.bias", stored: "encoder.layers.L.norm1.bias" },
    {
      engine: "layer.L.attn.qkv.weight",
      stored: "encoder.layers.L.attn.self_attention.query_key_value.weight",
    },
    {
      engine: "layer.L.attn.qkv.bias",
      stored: "encoder.layers.L.attn.self_attention.query_key_value.bias",
      when: "qkvBias",
    },
    {
      engine: "layer.L.attn.scale",
      stored: "encoder.layers.L.attn.self_attention.norm_factor",
      optional: true,
      scalar: true,
    },
    { engine: "layer.L.attn.out.weight", stored: "encoder.layers.L.attn.dense.weight" },
    { engine: "layer.L.attn.out.bias", stored: "encoder.layers.L.attn.dense.bias", when: "bias" },
    { engine: "layer.L.norm2.weight", stored: "encoder.layers.L.norm2.weight" },
    { engine: "layer.L.norm2.bias", stored: "encoder.layers.L.norm2.bias" },
    { engine: "layer.L.ffn.in.weight", stored: "encoder.layers.L.ffn.dense_in.weight" },
    { engine: "layer.L.ffn.in.bias", stored: "encoder.layers.L.ffn.dense_in.bias", when: "bias" },
    { engine: "layer.L.ffn.out.weight", stored: "encoder.layers.L.ffn.dense_out.weight" },
    { engine: "layer.L.ffn.out.bias", stored: "encoder.layers.L.ffn.dense_out.bias", when: "bias" },
    { engine: "layer.L.fff.in.weight", stored: "encoder.layers.L.ffn.linear_in.weight" },
    { engine: "layer.L.fff.in.bias", stored: "encoder.layers.L.ffn.linear_in.bias" },
    {
      engine: "layer.L.fff.out.weight",
      stored: "encoder.layers.L.ffn.linear_out.weight",
      nodesInColumns: true,
    },
    { engine: "final_norm.weight", stored: "encoder.final_norm.weight" },
    { engine: "final_norm.bias", stored: "encoder.final_norm.bias" },
    { engine: "head.mlm.dense.weight", stored: "prediction_head.dense.weight" },
    { engine: "head.mlm.dense.bias", stored: "prediction_head.dense.bias", when: "bias" },
    { engine: "head.mlm.norm.weight", stored: "prediction_head.norm.weight" },
    { engine: "head.mlm.norm.bias", stored: "prediction_head.norm.bias" },
    { engine: "head.mlm.decoder.weight", stored: "decoder.weight" },
    { engine: "head.mlm.decoder.bias", stored: "decoder.bias", when: "decoderBias" },
    { engine: "head.pool.dense.weight", stored: "pooler.dense.weight" },
    { engine: "head.pool.dense.bias", stored: "pooler.dense.bias" },
    { engine: "head.class.weight", stored: "head.weight" },
    { engine: "head.class.bias", stored: "head.bias" },
  ],
  ignored: [
    /^encoder\.embedding\.pos_embedding\.(position_ids|pe)$/,
    /^encoder\.layers\.\d+\.attn\.self_attention\..*inv_freq$/,
  ],
  buffers({ positions, maxLength }) {
    if (positions !== UFFB_LEARNED) return [];
    const ids = BigInt64Array.from({ length: maxLength }, (_, i) => BigInt(i));
    return [
      {
        name: "encoder.embedding.pos_embedding.position_ids",
        dtype: "I64",
        shape: [1, maxLength],
        data: new Uint8Array(ids.buffer),
      },
    ];
  },
};
