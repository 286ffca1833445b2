/** The modules that the sentence-transformers library runs after the text model, read from modules.json and a folder for each. */
import type { Pooling } from "../../../ffi/context.ts";
import { UffbError } from "../../base/errors.ts";
import { readJson, readObject } from "../../base/json.ts";
import { quoted } from "../../base/printable.ts";
import type { Checkpoint } from "../../files/checkpoint.ts";
import type { StoredTensor } from "../../files/safetensors/safetensors.ts";
import { MAX_MODULES, MODULE_FOLDER, MODULES_FILE, moduleConfig } from "../../files/sentence.ts";
import { Section } from "../families/section.ts";
import { OF_MODULE } from "../keys/sentence.ts";
import { sortKeys } from "../keys/table.ts";
import { ACTIVATION_NAMES, type Activation, activationOf, torchClass } from "./activations.ts";
import { readFloats } from "./floats.ts";

/** From token vectors to one vector: each pooling's, one after another. */
export interface PoolingModule {
  kind: "Pooling";
  poolings: readonly Pooling[];
  /** False: the tokens of the prompt are left out. */
  includesPrompt: boolean;
}

/** activation(weight x + bias), plus, with a residual connection, x itself or a projection of it. */
export interface DenseModule {
  kind: "Dense";
  inputs: number;
  outputs: number;
  activationName: string;
  activation: Activation;
  /** [outputs, inputs] */
  weight: Float32Array;
  /** [outputs] */
  bias: Float32Array | undefined;
  /** Added to the result: nothing, x, or a matrix [outputs, inputs] times x. */
  residual: "none" | "input" | Float32Array;
}

/** As torch.nn.LayerNorm, over the whole vector. */
export interface NormModule {
  kind: "LayerNorm";
  weight: Float32Array;
  bias: Float32Array;
}

/** Scales a vector to length 1. */
export interface NormalizeModule {
  kind: "Normalize";
}

export type VectorModule = DenseModule | NormModule | NormalizeModule;

/** A pooling, then what becomes of its vector. */
export interface Modules {
  pooling: PoolingModule;
  after: readonly VectorModule[];
  /** Numbers of the vector that comes out. */
  width: number;
}

const MAX_WIDTH = 2 ** 20;

interface Entry {
  section: Section;
  kind: string;
  folder: string;
}

type Reader = (entry: Entry, checkpoint: Checkpoint, width: number) => VectorModule | undefined;

const READERS: Readonly<Record<string, Reader>> = {
  Dense: readDense,
  LayerNorm: readNorm,
  Normalize: readNormalize,
  Dropout: () => undefined, // it only drops in training
};
const SUPPORTED = ["Transformer", "Pooling", ...Object.keys(READERS)];

/**
 * Reads the modules of a model; undefined for one that has none. `hidden` is the width of its token vectors.
 *
 * @throws UffbError naming file and key for a module that is not supported, damaged, or does not fit the one before it
 */
export function readModules(checkpoint: Checkpoint, hidden: number): Modules | undefined {
  const file = checkpoint.file(MODULES_FILE);
  if (file === undefined) return undefined;
  const { source } = file;
  const value = readJson(file.text, source);
  const entries = Array.isArray(value) ? value.map((module, i) => readEntry(module, i, source)) : [];
  if (entries.length > MAX_MODULES) throw new UffbError(`${source}: lists more than ${MAX_MODULES} modules`);
  const [text, pool, ...rest] = entries;
  if (!text || !pool) throw new UffbError(`${source}: does not list a text model and its pooling`);
  if (text.kind !== "Transformer") throw text.section.bad("type", "the first module must be a Transformer");
  if (text.folder !== "") throw text.section.bad("path", 'only "" is supported for the text model');
  if (pool.kind !== "Pooling") throw pool.section.bad("type", "the second module must be a Pooling");
  const pooling = readPooling(pool, checkpoint);
  let width = hidden * pooling.poolings.length;
  const after: VectorModule[] = [];
  for (const entry of rest) {
    const read = Object.hasOwn(READERS, entry.kind) ? READERS[entry.kind] : undefined;
    if (!read) throw entry.section.bad("type", "after the pooling it is not supported");
    const module = read(entry, checkpoint, width);
    if (module) after.push(module);
    if (module?.kind === "Dense") width = module.outputs;
  }
  return { pooling, after, width };
}

function readEntry(value: unknown, i: number, source: string): Entry {
  const section = new Section(value, source, `module ${i}.`);
  const type = section.get("type");
  // "sentence_transformers.models.Pooling", in newer versions with a file's name before it.
  const [library, ...path] = typeof type === "string" ? type.split(".") : [];
  const kind = path.at(-1) ?? "";
  if (library !== "sentence_transformers" || !SUPPORTED.includes(kind))
    throw section.bad("type", `supported: ${SUPPORTED.join(", ")} of sentence_transformers`);
  const folder = section.get("path");
  if (typeof folder !== "string" || (folder !== "" && !MODULE_FOLDER.test(folder)))
    throw section.bad("path", "it must be the name of a folder beside modules.json");
  return { section, kind, folder };
}

/** A module's config.json; undefined where it has none. */
function configOf({ folder, kind }: Entry, checkpoint: Checkpoint): Section | undefined {
  const file = checkpoint.file(moduleConfig(folder));
  if (file === undefined) return undefined;
  const values = readObject(file.text, file.source);
  sortKeys(values, OF_MODULE[kind]!, file.source);
  return new Section(values, file.source);
}

function needConfig(entry: Entry, checkpoint: Checkpoint): Section {
  const config = configOf(entry, checkpoint);
  if (config) return config;
  const name = moduleConfig(entry.folder);
  throw new UffbError(
    `${checkpoint.source}: has no ${name}, which its ${MODULES_FILE} names; get the model again`,
  );
}

/** Which of a text's numbers a module reads and writes: only its vector, here. */
function checkNames(config: Section): void {
  config.only("module_input_name", "sentence_embedding");
  config.only("module_output_name", "sentence_embedding");
}

/** By the names of version 5.4 and later, in the order in which their vectors stand, and by the keys of older ones. */
const POOLINGS: Readonly<Record<string, { pooling: Pooling; key: string }>> = {
  cls: { pooling: "first", key: "pooling_mode_cls_token" },
  max: { pooling: "max", key: "pooling_mode_max_tokens" },
  mean: { pooling: "mean", key: "pooling_mode_mean_tokens" },
  mean_sqrt_len_tokens: { pooling: "mean-sqrt", key: "pooling_mode_mean_sqrt_len_tokens" },
  weightedmean: { pooling: "weighted", key: "pooling_mode_weightedmean_tokens" },
  lasttoken: { pooling: "last", key: "pooling_mode_lasttoken" },
};

function readPooling(entry: Entry, checkpoint: Checkpoint): PoolingModule {
  const config = needConfig(entry, checkpoint);
  const mode = config.get("pooling_mode");
  const modes = mode === undefined ? oldModes(config) : [mode].flat();
  const poolings = modes.map((name) => {
    if (typeof name === "string" && Object.hasOwn(POOLINGS, name)) return POOLINGS[name]!.pooling;
    throw config.bad("pooling_mode", `supported: ${Object.keys(POOLINGS).join(", ")}, or a list of them`);
  });
  if (poolings.length === 0 || poolings.length > MAX_MODULES)
    throw config.bad("pooling_mode", "it must name a pooling");
  return { kind: "Pooling", poolings, includesPrompt: config.flag("include_prompt", true) };
}

/** Older versions have a flag for each; without any the library takes the mean. */
function oldModes(config: Section): string[] {
  const modes = Object.entries(POOLINGS).filter(([, { key }]) => config.flag(key, false));
  return modes.length === 0 ? ["mean"] : modes.map(([name]) => name);
}

function readDense(entry: Entry, checkpoint: Checkpoint, width: number): DenseModule {
  const config = needConfig(entry, checkpoint);
  checkNames(config);
  const inputs = config.size("in_features", 1, MAX_WIDTH);
  if (inputs !== width)
    throw config.bad("in_features", `the module before it gives vectors of ${width} numbers`);
  const outputs = config.size("out_features", 1, MAX_WIDTH);
  const { name, activation } = readActivation(config);
  const tensors = tensorsOf(entry, checkpoint);
  const adds = config.flag("use_residual", false);
  const take = (name: string, shape: readonly number[]) =>
    takeTensor(tensors, name, shape, entry, checkpoint);
  return {
    kind: "Dense",
    inputs,
    outputs,
    activationName: name,
    activation,
    weight: take("linear.weight", [outputs, inputs]),
    bias: config.flag("bias", true) ? take("linear.bias", [outputs]) : undefined,
    residual: !adds ? "none" : inputs === outputs ? "input" : take("residual.weight", [outputs, inputs]),
  };
}

/** The library's default where none is named, or one that is not PyTorch's. */
const DENSE_ACTIVATION = "Tanh";

function readActivation(config: Section): { name: string; activation: Activation } {
  const path = config.get("activation_function");
  if (path !== undefined && typeof path !== "string")
    throw config.bad("activation_function", "it must name a class of PyTorch");
  const name = (path === undefined ? undefined : torchClass(path)) ?? DENSE_ACTIVATION;
  const activation = activationOf(name);
  if (!activation)
    throw config.bad("activation_function", `supported: ${ACTIVATION_NAMES.join(", ")} of torch.nn`);
  return { name, activation };
}

function readNorm(entry: Entry, checkpoint: Checkpoint, width: number): NormModule {
  const config = needConfig(entry, checkpoint);
  config.only("dimension", width);
  const tensors = tensorsOf(entry, checkpoint);
  const take = (name: string) => takeTensor(tensors, name, [width], entry, checkpoint);
  return { kind: "LayerNorm", weight: take("norm.weight"), bias: take("norm.bias") };
}

function readNormalize(entry: Entry, checkpoint: Checkpoint): NormalizeModule {
  const config = configOf(entry, checkpoint);
  if (config) checkNames(config);
  return { kind: "Normalize" };
}

function tensorsOf({ folder }: Entry, checkpoint: Checkpoint): Map<string, StoredTensor> {
  const tensors = checkpoint.moduleTensors(folder);
  if (tensors) return tensors;
  throw new UffbError(`${checkpoint.source}: has no weights in ${folder}; get the model again`);
}

function takeTensor(
  tensors: ReadonlyMap<string, StoredTensor>,
  name: string,
  shape: readonly number[],
  { folder }: Entry,
  { source }: Checkpoint,
): Float32Array {
  const tensor = tensors.get(name);
  if (!tensor) throw new UffbError(`${source}: ${folder} lacks the tensor ${quoted(name)}`);
  if (tensor.shape.join() !== shape.join()) {
    const found = `${tensor.dtype} [${tensor.shape.join(", ")}]`;
    throw new UffbError(
      `${tensor.file}: tensor ${quoted(name)} is ${found}, but its config.json asks for [${shape.join(", ")}]`,
    );
  }
  return readFloats(tensor, name);
}
