import {
  UFFB_FFN_GLU_FIRST,
  UFFB_POOL_FIRST,
  UFFB_POOL_MEAN,
  UFFB_PRE_NORM,
  UFFB_QKV_BY_PART,
  UFFB_ROTARY,
} from "../../../ffi/bindings.ts";
import { PLAIN } from "../../../ffi/plain.ts";
import { type Family, linear, type Settings, type Switch } from "./family.ts";
import type { Section } from "./section.ts";
import {
  ACTIVATIONS,
  MAX_POSITIONS,
  MAX_SIZE,
  normEps,
  readEncoder,
  readLabels,
  renamer,
} from "./transformer.ts";

const LAYER = "model.layers.L";
/** What the config calls a layer that looks at all tokens, and one that looks at its neighbours. */
const FULL = "full_attention";
const LOCAL = "sliding_attention";
const MAX_BASE = 1e12;

/** Rotary frequencies, in new files by the layer's kind, in older ones by two keys. */
function readBases(config: Section): Record<typeof FULL | typeof LOCAL, number> {
  const bases = { [FULL]: 160_000, [LOCAL]: 10_000 };
  for (const [kind, old] of [
    [FULL, "global_rope_theta"],
    [LOCAL, "local_rope_theta"],
  ] as const) {
    if (config.has(old)) bases[kind] = config.number(old, 1, MAX_BASE);
  }
  if (config.has("rope_scaling")) throw config.bad("rope_scaling", "scaled positions are not supported");
  if (!config.has("rope_parameters")) return bases;
  const parameters = config.section("rope_parameters");
  for (const kind of [FULL, LOCAL] as const) {
    if (!parameters.has(kind)) continue;
    const one = parameters.section(kind);
    one.only("rope_type", "default");
    if (one.has("rope_theta")) bases[kind] = one.number("rope_theta", 1, MAX_BASE);
    one.finish();
  }
  return bases;
}

/** Every how many layers one looks at all tokens; 0 for none. */
function readGlobalEvery(config: Section, layers: number): number {
  const every = config.has("global_attn_every_n_layers")
    ? config.size("global_attn_every_n_layers", 1, 4096)
    : 3;
  const types = config.get("layer_types");
  if (types === undefined) return every;
  if (!Array.isArray(types) || types.length !== layers)
    throw config.bad("layer_types", `it must be a list of ${layers} names`);
  const full = types.flatMap((type, layer) => (type === FULL ? [layer] : []));
  const found = full.length === 0 ? 0 : (full[1] ?? layers);
  const same = types.every((type, layer) => type === (found > 0 && layer % found === 0 ? FULL : LOCAL));
  if (!same)
    throw config.bad("layer_types", `supported: ${FULL} every few layers, from the first on, and ${LOCAL}`);
  return found;
}

function read(config: Section): Settings {
  const keys = { layers: "num_hidden_layers", hidden: "hidden_size", heads: "num_attention_heads" };
  const architectures = ["ModernBertModel", "ModernBertForMaskedLM", "ModernBertForSequenceClassification"];
  const { layers, hidden, heads } = readEncoder(config, keys, architectures);
  if (heads.headSize % 2 !== 0)
    throw config.bad(
      config.has("head_dim") ? "head_dim" : keys.heads,
      "rotary positions need heads of an even size",
    );
  const activation = config.choice("hidden_activation", ACTIVATIONS, "gelu");
  const headActivation = config.choice("classifier_activation", ACTIVATIONS, "gelu");
  const named = config.get("architectures") as string[] | undefined;
  if (headActivation !== activation && named?.includes("ModernBertForMaskedLM") !== false)
    throw config.bad(
      "classifier_activation",
      "another than hidden_activation is supported in classifiers only",
    );
  const bases = readBases(config);
  // Tokens on both sides and the one between: of an odd number the rest is left out, as there.
  const local = config.has("local_attention") ? config.size("local_attention", 2, MAX_POSITIONS) : 128;
  const globalEvery = readGlobalEvery(config, layers);
  const switches: [Switch, boolean][] = [
    ["attentionBias", config.flag("attention_bias", false)],
    ["bias", config.flag("mlp_bias", false)],
    ["normBias", config.flag("norm_bias", false)],
    ["headBias", config.flag("classifier_bias", false)],
    ["decoderBias", config.flag("decoder_bias", true)],
  ];
  return {
    arch: {
      layers,
      hidden,
      vocab: config.size("vocab_size", 1, MAX_SIZE),
      maxLength: config.size("max_position_embeddings", 1, MAX_POSITIONS),
      positionOffset: 0,
      tokenTypes: 0,
      width: 2 * config.size("intermediate_size", 1, MAX_SIZE / 2),
      trees: 0,
      depth: 0,
      poolWidth: hidden,
      labels: readLabels(config),
      ...PLAIN,
      ...heads,
      window: globalEvery === 1 ? 0 : Math.floor(local / 2),
      globalEvery,
      rotaryBase: bases[FULL],
      rotaryBaseLocal: bases[LOCAL],
      normEps: normEps(config, "norm_eps", 1e-5),
      normPosition: UFFB_PRE_NORM,
      positions: UFFB_ROTARY,
      feedforward: UFFB_FFN_GLU_FIRST,
      activation,
      poolActivation: headActivation,
      pooling: config.choice("classifier_pooling", { cls: UFFB_POOL_FIRST, mean: UFFB_POOL_MEAN }, "cls"),
      embedNorm: 1,
      finalNorm: 1,
      headsPresent: 0,
      mlmTransform: 1,
      tied: 0,
      treeOutput: 0,
      qkvOrder: UFFB_QKV_BY_PART,
      firstUnnormed: 1,
      poolNorm: 1,
    },
    switches: new Set(switches.filter(([, on]) => on).map(([name]) => name)),
    mayTie: config.flag("tie_word_embeddings", true),
  };
}

/** ModernBERT: rotary positions, attention that looks at neighbours in most layers, gated feedforward layers (arXiv 2412.13663). */
export const modernbert: Family = {
  modelType: "modernbert",
  encoder: "ModernBertModel",
  classifier: { architecture: "ModernBertForSequenceClassification" },
  read,
  rename: renamer("model.", ["embeddings.", "layers.", "final_norm."], {}),
  roles: [
    { engine: "embed.word", stored: "model.embeddings.tok_embeddings.weight" },
    ...linear("embed.norm", "model.embeddings.norm", "normBias"),
    ...linear("layer.L.norm1", `${LAYER}.attn_norm`, "normBias"),
    ...linear("layer.L.attn.qkv", `${LAYER}.attn.Wqkv`, "attentionBias"),
    ...linear("layer.L.attn.out", `${LAYER}.attn.Wo`, "attentionBias"),
    ...linear("layer.L.norm2", `${LAYER}.mlp_norm`, "normBias"),
    ...linear("layer.L.ffn.in", `${LAYER}.mlp.Wi`, "bias"),
    ...linear("layer.L.ffn.out", `${LAYER}.mlp.Wo`, "bias"),
    ...linear("final_norm", "model.final_norm", "normBias"),
    // One head for both uses.
    ...linear("head.mlm.dense", "head.dense", "headBias"),
    ...linear("head.mlm.norm", "head.norm", "normBias"),
    ...linear("head.mlm.decoder", "decoder", "decoderBias"),
    ...linear("head.pool.dense", "head.dense", "headBias"),
    ...linear("head.pool.norm", "head.norm", "normBias"),
    ...linear("head.class", "classifier"),
  ],
  ignored: [/^model\.(layers\.\d+\.attn\.)?rotary_emb\..*inv_freq$/],
  prefix: "model.",
  heads: [/^head\./, /^decoder\./],
};
