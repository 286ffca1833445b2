/** What a model is, in numbers: from its config and the shapes of its tensors, none of which is read. */
import {
  UFFB_FFN_DENSE,
  UFFB_FFN_FFF,
  UFFB_FFN_GLU,
  UFFB_FFN_GLU_FIRST,
  UFFB_TREES_ACTIVATE,
  UFFB_TREES_ACTIVATE_SUM,
  UFFB_TREES_LINEAR,
} from "../../../ffi/bindings.ts";
import { type Checkpoint, openCheckpoint } from "../../files/checkpoint.ts";
import { byteCount } from "../../files/safetensors/safetensors.ts";
import { loadConfig } from "../../model/config.ts";
import { reportKeys } from "../../model/keys/report.ts";
import type { KeyReport } from "../../model/keys/table.ts";
import { type Binding, bindTensors } from "../../model/roles.ts";
import { scoringOf } from "../../model/scoring.ts";
import type { VectorModule } from "../../model/sentence/modules.ts";
import { readPrompts } from "../../model/sentence/prompts.ts";
import { readSentenceSettings, type SentenceSettings } from "../../model/sentence/settings.ts";
import { loadTokenizer } from "../../model/tokenizer.ts";
import type { Specials } from "../../text/tokenizer/tokenizer.ts";

export interface Summary {
  source: string;
  packed: boolean;
  /** `model_type` of config.json. */
  family: string;
  task: string;
  labels: readonly string[];
  /** The class of PyTorch that the output of a model with one passes through before it is a score; absent for others. */
  scoring?: string;
  layers: number;
  hidden: number;
  /** Of each layer, or as many as one layer of the model could have. */
  heads: number;
  headSize: number;
  /** [layers]; null where all have as many. */
  layerHeads: number[] | null;
  vocab: number;
  maxLength: number;
  /** How it makes vectors of texts, where it says so. */
  sentence: SentenceSummary | undefined;
  /** Whether the decoder is the word embedding. */
  tied: boolean;
  feedforward: Feedforward;
  parameters: { total: number; parts: Record<Part, number> };
  /** In the file. */
  bytes: number;
  tensors: TensorSummary[];
  tokenizer: { vocabSize: number; specials: Specials; maxLength: number | undefined } | undefined;
  /** What was read from which of the model's files. */
  files: KeyReport[];
}

/** Its settings; of modules what they are, without their weights. */
export interface SentenceSummary extends Omit<SentenceSettings, "after"> {
  after: ModuleSummary[];
}

export type ModuleSummary =
  | { kind: "Dense"; inputs: number; outputs: number; activation: string; residual: boolean }
  | { kind: "LayerNorm" | "Normalize" };

export interface Feedforward {
  kind: "dense" | "gated" | "trees" | "none";
  /** Neurons of a layer, and how many of them a token uses. */
  neurons: number;
  used: number;
  /** Of a layer of trees; 0 for others. Leaves are a tree's. */
  trees: number;
  depth: number;
  leaves: number;
  /** What a node of a tree puts out; after: its logit, and the activation comes after the sum of all of them. */
  output: "activation" | "logit" | "after";
  /** Neurons of the dense layer beside the trees, all used for every token; counted in the two above. */
  dense: number;
  /** How much less arithmetic a layer needs than with all its neurons: on paper. */
  speedup: number;
  /** Multiply-adds per token and layer: of the feedforward part, with all neurons, and of the attention's projections. */
  macs: { used: number; all: number; projections: number };
}

export interface TensorSummary {
  /** In the file. */
  name: string;
  /** In the engine. */
  role: string;
  dtype: string;
  shape: readonly number[];
  bytes: number;
}

const PARTS = ["embedding", "attention", "feedforward", "norms", "head"] as const;
export type Part = (typeof PARTS)[number];

const KINDS = {
  [UFFB_FFN_DENSE]: "dense",
  [UFFB_FFN_GLU]: "gated",
  [UFFB_FFN_GLU_FIRST]: "gated",
  [UFFB_FFN_FFF]: "trees",
} as const;

/** The part of a model that one of the engine's tensors belongs to. */
export function partOf(name: string): Part {
  if (name.startsWith("head.")) return "head";
  if (/(^|\.)(final_)?norm\d?\./.test(name)) return "norms";
  if (name.startsWith("embed.")) return "embedding";
  return /(^|\.)attn\./.test(name) ? "attention" : "feedforward";
}

/** @throws UffbError when the model or its tokenizer cannot be opened */
export async function summarize(path?: string): Promise<Summary> {
  const checkpoint: Checkpoint =
    path === undefined ? (await import("../../files/builtin.ts")).openBuiltin() : openCheckpoint(path);
  const { config, native, bindings } = bindTensors(loadConfig(checkpoint), checkpoint);
  native[Symbol.dispose]();
  const { arch, family, task, labels } = config;
  const parts = Object.fromEntries(PARTS.map((part) => [part, 0])) as Record<Part, number>;
  for (const { wanted } of parametersOf(bindings)) parts[partOf(wanted.name)] += wanted.rows * wanted.cols;
  const tensors = bindings.map(({ name, wanted, tensor: { dtype, shape } }) => {
    return { name, role: wanted.name, dtype, shape, bytes: byteCount(dtype, shape) };
  });
  const tokenizer = loadTokenizer(checkpoint.file);
  return {
    source: checkpoint.source,
    packed: checkpoint.packed !== undefined,
    family: family.modelType,
    task,
    labels,
    ...(task === "regression" && {
      scoring: scoringOf(config, readPrompts(checkpoint), checkpoint.source).name,
    }),
    ...pick(arch, ["layers", "hidden", "heads", "headSize", "vocab", "maxLength"]),
    layerHeads: arch.layerHeads && [...arch.layerHeads],
    sentence: sentenceSummary(readSentenceSettings(checkpoint, arch.hidden)),
    tied: arch.tied === 1,
    feedforward: feedforwardOf(arch),
    parameters: { total: Object.values(parts).reduce((sum, count) => sum + count, 0), parts },
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    tensors,
    tokenizer: tokenizer && {
      vocabSize: tokenizer.vocabSize,
      specials: tokenizer.specials,
      maxLength: Number.isFinite(tokenizer.maxLength) ? tokenizer.maxLength : undefined,
    },
    files: reportKeys(checkpoint.file, config.keys),
  };
}

function sentenceSummary(settings: SentenceSettings | undefined): SentenceSummary | undefined {
  return settings && { ...settings, after: settings.after.map(moduleSummary) };
}

function moduleSummary(module: VectorModule): ModuleSummary {
  if (module.kind !== "Dense") return { kind: module.kind };
  const { kind, inputs, outputs, activationName: activation, residual } = module;
  return { kind, inputs, outputs, activation, residual: residual !== "none" };
}

/** Leaves out tensors that are not parameters: scales and second copies of weights in integers, and attention's factor, which follows from its width. */
function parametersOf(bindings: readonly Binding[]): Binding[] {
  const names = new Set(bindings.map(({ wanted }) => wanted.name));
  return bindings.filter(({ wanted: { name } }) => {
    const beside = /\.(scale|rows)$/.test(name) && names.has(name.replace(/\.\w+$/, ""));
    return !beside && !name.endsWith(".attn.scale");
  });
}

function pick<T, K extends keyof T>(value: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, value[key]])) as Pick<T, K>;
}

const OUTPUTS = {
  [UFFB_TREES_ACTIVATE]: "activation",
  [UFFB_TREES_LINEAR]: "logit",
  [UFFB_TREES_ACTIVATE_SUM]: "after",
} as const;

export function feedforwardOf(arch: {
  feedforward: number;
  hidden: number;
  width: number;
  trees: number;
  depth: number;
  treeOutput: number;
}): Feedforward {
  const { hidden, width, trees, depth } = arch;
  const dense = KINDS[arch.feedforward as keyof typeof KINDS];
  const kind = width === 0 && dense === "dense" ? "none" : dense;
  const projections = 4 * hidden * hidden;
  // Gated: both halves of `width` are computed, one half goes on.
  const inner = kind === "gated" ? width / 2 : width;
  const beside = hidden * (width + inner);
  if (kind !== "trees") {
    const none = { trees: 0, depth: 0, leaves: 0, output: "activation", dense: 0, speedup: 1 } as const;
    return { kind, neurons: inner, used: inner, ...none, macs: { used: beside, all: beside, projections } };
  }
  const neurons = trees * (2 ** (depth + 1) - 1) + width;
  const used = trees * (depth + 1) + width;
  return {
    ...{ kind, neurons, used, trees, depth, leaves: 2 ** depth },
    output: OUTPUTS[arch.treeOutput as keyof typeof OUTPUTS],
    ...{ dense: width, speedup: neurons / used },
    macs: { used: 2 * hidden * used, all: 2 * hidden * neurons, projections },
  };
}
