import type { Arch } from "../../../ffi/bindings.ts";
import type { Section } from "./section.ts";

/** Most classes a head can have. */
export const MAX_LABELS = 100_000;

/** The names that one kind of model has for its settings and tensors. The engine is the same for all families; a family is data. */
export interface Family {
  /** `model_type` in config.json. */
  modelType: string;
  /** Reads the whole config.json. */
  read(config: Section): Settings;
  roles: readonly Role[];
  /** What `roles` calls a tensor that checkpoints also have under other names. */
  rename?(name: string): string;
  /** Tensors that carry nothing the engine needs: buffers that follow from the config. */
  ignored: readonly RegExp[];
  /**
   * What the names of the encoder's tensors begin with, where the model's own code leaves out what it does not know elsewhere: a trainer's
   * class weights, another library's head.
   */
  prefix?: string;
  /** Tensors of heads, which a checkpoint may hold beside the one in use. */
  heads?: readonly RegExp[];
  /** The architecture with a classification head, and where its config.json tells the number of labels, other than by their names. */
  classifier: { architecture: string; counts?: readonly (readonly string[])[] };
  /** Where its config.json tells the sizes by which a smaller model of the family can differ. */
  sizes?: {
    layers: readonly string[];
    width: readonly string[];
    /** Which heads it lacks: see readHeads. */
    heads: readonly string[];
    /** The key beside `width` that names other feedforward layers than a dense one, where the family has one. */
    feedforward?: readonly string[];
  };
  /** The architecture that classifies each token by one layer on its final state, `classifier`, where the family has one. */
  tokenClassifier?: string;
  /** The `architectures` entry for an encoder without head, where the family has one. Then any checkpoint may lack its head. */
  encoder?: string;
  /** A classifier reads the pair template even for one text, with an empty second one. */
  emptyPair?: true;
  /** Buffers without which the model's own code does not load a checkpoint, though they follow from the config. */
  buffers?(arch: Arch): { name: string; dtype: string; shape: number[]; data: Uint8Array }[];
}

/** Tensors that a config switches on or off, beyond those that follow from the engine's architecture. */
export type Switch =
  | "bias"
  | "qkvBias"
  | "attentionBias"
  | "normBias"
  | "headBias"
  | "decoderBias"
  | "positionScale";

export interface Settings {
  arch: Arch;
  /** What PyTorch's word embedding has as its padding_idx. */
  padding?: number | undefined;
  switches: ReadonlySet<Switch>;
  /** The checkpoint may hold the decoder once, as the word embedding. */
  mayTie: boolean;
}

/** A tensor's name here and there; `L` stands for a layer's number. */
export interface Role {
  /** In the engine and in packed files. */
  engine: string;
  /** In the checkpoint; several are the query, key and value of attention, which the engine has head by head (see interleave.ts). */
  stored: string | readonly string[];
  /** Only with this switch; without it the checkpoint must not have it. */
  when?: Switch;
  /** The engine has a default for it. */
  optional?: true;
  /** A number on its own, of shape []. */
  scalar?: true;
  /** The checkpoint has nodes in columns. The engine wants them in rows, except where it multiplies by the whole matrix (panels). */
  nodesInColumns?: true;
}

/** The weight and the bias of a layer, the bias perhaps `when` a switch is on. `stored` is a name, or query's, key's and value's. */
export function linear(engine: string, stored: string | readonly string[], when?: Switch): Role[] {
  return ["weight", "bias"].map((kind) => ({
    engine: `${engine}.${kind}`,
    stored: typeof stored === "string" ? `${stored}.${kind}` : stored.map((name) => `${name}.${kind}`),
    ...(when !== undefined && kind === "bias" && { when }),
  }));
}

/** The trees of a feedforward layer, which the family's own code does not have: tensors as UltraFastBERT has them, behind `layer`. */
export function trees(layer: string): Role[] {
  return [
    ...linear("layer.L.fff.in", `${layer}.fff.linear_in`),
    { engine: "layer.L.fff.out.weight", stored: `${layer}.fff.linear_out.weight`, nodesInColumns: true },
  ];
}

/** `pad_token_id`, or `absent` where the section does not have the key; null stands for none, and -1 for the last token, as in PyTorch. */
export function readPadding(section: Section, vocab: number, absent?: number): number | undefined {
  if (!section.keys().includes("pad_token_id")) return absent;
  if (!section.has("pad_token_id")) return undefined;
  const id = section.size("pad_token_id", -vocab, vocab - 1);
  return id < 0 ? id + vocab : id;
}
