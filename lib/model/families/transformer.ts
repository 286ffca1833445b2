/** What Hugging Face's BERT, RoBERTa and DistilBERT have in common: a post-norm encoder, learned positions, biases everywhere. */

import {
  type Arch,
  UFFB_GELU,
  UFFB_LEARNED,
  UFFB_POOL_FIRST,
  UFFB_POST_NORM,
} from "../../../ffi/bindings.ts";
import { PLAIN } from "../../../ffi/plain.ts";
import { activationsOf } from "./activations.ts";
import { MAX_LABELS, readPadding, type Settings } from "./family.ts";
import { canCount, type FeedforwardArch, feedforwardArch, readFeedforward } from "./feedforward.ts";
import { type Heads, PRUNED_KEY, readHeads } from "./heads.ts";
import type { Section } from "./section.ts";

/** Several names stand for GELU's tanh approximation, each computed in another way. */
export const ACTIVATIONS = activationsOf("transformers");

export const MAX_SIZE = 2 ** 24;
export const MAX_POSITIONS = 65_536;

/** Where a family keeps a setting that all of them have. */
interface Keys {
  layers: string;
  hidden: string;
  heads: string;
  width: string;
  activation: string;
}

/** What is a family's own: what all have to say, and where else its architecture differs. */
type Own = Pick<Arch, "tokenTypes" | "positionOffset" | "poolActivation"> &
  Partial<Arch> & {
    /** Classes of its code that the engine can run. */
    architectures: readonly string[];
  };

/**
 * Reads a config.json of `transformers`. Its code looks at a known set of keys, which is read here; a key beyond them changes nothing there
 * either, except those that say that it is other code.
 */
export function readTransformer(config: Section, keys: Keys, own: Own): Settings {
  config.only("position_embedding_type", "absolute");
  const { layers, hidden, heads } = readEncoder(config, keys, own.architectures);
  if (heads.layerHeads !== null && (own.distinctLayers || own.relativeBuckets))
    throw config.bad(PRUNED_KEY, "all layers of such a model have the same heads");
  const positions = config.size("max_position_embeddings", 1, MAX_POSITIONS);
  const { architectures, positionOffset, ...rest } = own;
  const vocab = config.size("vocab_size", 1, MAX_SIZE);
  if (positions <= positionOffset)
    throw config.bad("max_position_embeddings", `the first ${positionOffset} are not for tokens`);
  return {
    arch: {
      layers,
      hidden,
      vocab,
      maxLength: positions - positionOffset,
      positionOffset,
      poolWidth: hidden,
      labels: readLabels(config),
      normPosition: UFFB_POST_NORM,
      positions: UFFB_LEARNED,
      ...feedforward(config, keys.width),
      activation: config.choice(keys.activation, ACTIVATIONS),
      pooling: UFFB_POOL_FIRST,
      ...PLAIN,
      ...heads,
      normEps: normEps(config, "layer_norm_eps"),
      embedNorm: 1,
      finalNorm: 0,
      headsPresent: 0,
      mlmTransform: 1,
      tied: 0,
      ...rest,
    },
    // Without the key the library takes 1 where positions begin behind the padding token's, and 0 elsewhere.
    padding: readPadding(config, vocab, positionOffset > 0 ? 1 : 0),
    switches: new Set(),
    mayTie: config.flag("tie_word_embeddings", true),
  };
}

/**
 * The key of config.json, ours alone, that names other feedforward layers than the library's dense one, as `--shape` does. The width of that
 * is null beside it, so that the library, which does not know the key, refuses the model where it would take it for another.
 */
export const FEEDFORWARD_KEY = "feedforward";

function feedforward(config: Section, widthKey: string): FeedforwardArch {
  const name = config.get(FEEDFORWARD_KEY);
  if (name === undefined)
    return feedforwardArch({ kind: "dense", width: config.size(widthKey, 1, MAX_SIZE) });
  const found = typeof name === "string" ? readFeedforward(name) : undefined;
  if (found?.kind !== "trees" && found?.kind !== "none")
    throw config.bad(
      FEEDFORWARD_KEY,
      `supported: trees as in 8x6, 8x6:linear or dense:192+8x6, and none; a dense layer is ${widthKey} alone`,
    );
  if (found.kind === "trees" && !canCount(found))
    throw config.bad(FEEDFORWARD_KEY, "such trees have too many nodes");
  if (config.get(widthKey) !== undefined)
    throw config.bad(widthKey, `${FEEDFORWARD_KEY} is ${name}, beside which it must be null`);
  return feedforwardArch(found);
}

/** What all encoders of the library have to say, and must not. */
export function readEncoder(
  config: Section,
  keys: Pick<Keys, "layers" | "hidden" | "heads">,
  architectures: readonly string[],
): { layers: number; hidden: number; heads: Heads } {
  checkArchitectures(config, architectures);
  config.only("is_decoder", false);
  config.only("is_encoder_decoder", false);
  config.only("add_cross_attention", false);
  if (config.has("quantization_config"))
    throw config.bad("quantization_config", "such a model has code of its own, which is not supported");
  const hidden = config.size(keys.hidden, 1, 65_536);
  const layers = config.size(keys.layers, 1, 4096);
  return { layers, hidden, heads: readHeads(config, keys, { hidden, layers }) };
}

/** Of `key`, or what the library takes without it. */
export function normEps(config: Section, key: string, absent = 1e-12): number {
  return config.has(key) ? config.number(key, 0, 1) : absent;
}

/**
 * Whether the model fills masks, as far as config.json says: then a head that has gelu, whatever the layers have, is as the engine has it only
 * where these have gelu, too.
 *
 * @throws UffbError where they do not
 */
export function onlyGeluFills(config: Section, key: string, architecture: string, activation: number): void {
  const architectures = config.get("architectures") as string[] | undefined;
  if (activation === UFFB_GELU || (architectures && !architectures.includes(architecture))) return;
  throw config.bad(key, `the head of a ${architecture} has gelu, so only that is supported`);
}

function checkArchitectures(config: Section, supported: readonly string[]): void {
  const value = config.get("architectures");
  if (value === undefined) return;
  // The library does not look at others.
  if (!Array.isArray(value) || !value.some((name) => supported.includes(name)))
    throw config.bad("architectures", `supported: ${supported.join(", ")}`);
}

/** As many as the classes have names; 0 when that does not say. */
export function readLabels(config: Section): number {
  if (config.has("num_labels")) return config.size("num_labels", 1, MAX_LABELS);
  const names = config.get("id2label");
  return typeof names === "object" ? Math.min(Object.keys(names as object).length, MAX_LABELS) : 0;
}

/** The keys of BERT and RoBERTa. */
export const BERT_KEYS: Keys = {
  layers: "num_hidden_layers",
  hidden: "hidden_size",
  heads: "num_attention_heads",
  width: "intermediate_size",
  activation: "hidden_act",
};

/** The same keys, as a family has them. */
export const BERT_SIZES = {
  layers: [BERT_KEYS.layers],
  width: [BERT_KEYS.width],
  heads: [PRUNED_KEY],
  feedforward: [FEEDFORWARD_KEY],
} as const;

/** Of all of them, with the encoder's prefix: what does not carry it is the encoder's when it starts with one of `parts`. */
export function renamer(prefix: string, parts: readonly string[], others: Readonly<Record<string, string>>) {
  return (name: string): string => {
    // The names of TensorFlow's LayerNorm, in checkpoints that were converted long ago.
    const modern = name.replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias");
    const full = parts.some((part) => modern.startsWith(part)) ? prefix + modern : modern;
    return others[full] ?? full;
  };
}
