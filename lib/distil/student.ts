/** A student made from its teacher: some of its layers, with other feedforward halves. */
import { type Arch, UFFB_FFN_DENSE, UFFB_PRE_NORM } from "../../ffi/bindings.ts";
import { NativeTrainer } from "../../ffi/train.ts";
import { UffbError, UsageError } from "../base/errors.ts";
import { type JsonObject, readObject } from "../base/json.ts";
import { plural } from "../base/numbers.ts";
import type { Input } from "../eval/glue/run.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { type Config, parseConfig } from "../model/config.ts";
import { type Feedforward, feedforwardArch, feedforwardName } from "../model/families/feedforward.ts";
import { HEAD_SIZE_KEY, headNumbers, type PrunedHeads } from "../model/families/heads.ts";
import type { Model } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import { openContext } from "../run/device.ts";
import { setAt, valueAt } from "../train/save.ts";
import { canFit, dropHalves, type Fit, fitHalves, type HalfErrors, type Weights } from "./fit.ts";
import { type AttentionWeights, attentionMoments, narrowedHeads } from "./heads.ts";
import { type FeedforwardWeights, narrowed } from "./narrow.ts";
import type { Reading } from "./sample.ts";

/** What a student keeps of its teacher. */
export interface Kept {
  /** Numbers of layers, rising; all when absent. */
  layers?: readonly number[] | undefined;
  /** What its layers have in place of the teacher's dense feedforward layers; these when absent. */
  feedforward?: Feedforward | undefined;
  /** Units of each attention head; the teacher's when absent. */
  headSize?: number | undefined;
  /** Steps that each half is trained alone, before the whole is; FIT_STEPS for trees and none for others when absent. */
  fit?: number | undefined;
}

/** The same of a teacher that has all that is kept. */
export interface StudentShape {
  layers: readonly number[];
  /** Absent where the feedforward layers are the teacher's. */
  feedforward?: Feedforward;
  /** Absent where it is the teacher's. */
  headSize?: number;
  fit: number;
}

export interface MadeStudent {
  config: Config;
  /** Its config.json. */
  text: string;
  /** With its weights, not ready yet. */
  trainer: NativeTrainer;
  /** How near the halves that are not the teacher's come to these; absent where that was not measured. */
  errors?: HalfErrors | undefined;
}

/** What a student is made by. */
export interface Making extends Reading {
  /** Texts that tell which neurons matter. */
  sample: readonly Input[];
  /** Those that halves are trained on. */
  inputs: readonly Input[];
  seed: number;
  /** False for a student whose weights are to be replaced: then nothing is trained. */
  fits: boolean;
  /** Steps that are done; what it throws ends the work. */
  onFit?: ((done: number, steps: number) => void) | undefined;
}

export const FIT_STEPS = 400;

/** @throws UsageError for what the teacher does not have, UffbError for a teacher that no student can be made of */
export function studentShape({ config, source }: Pick<Model, "config" | "source">, kept: Kept): StudentShape {
  const { arch, family } = config;
  const all = Array.from({ length: arch.layers }, (_, layer) => layer);
  const { layers = all, feedforward, headSize } = kept;
  if (
    layers.length === 0 ||
    layers.some((layer, i) => !all.includes(layer) || layer <= (layers[i - 1] ?? -1))
  )
    throw new UsageError(
      `--layers ${layers.join(",")}: give numbers from 0 to ${arch.layers - 1}, the layers of ${source}, each once and rising`,
    );
  if (family.sizes === undefined || arch.distinctLayers > 0)
    throw new UffbError(
      `${source}: no student can be made of a ${family.modelType}; give one with --student`,
    );
  const narrow = headSize !== undefined && headSize !== arch.headSize ? { headSize } : {};
  if (headSize !== undefined) checkHeads(arch, source, headSize);
  const isDense = arch.feedforward === UFFB_FFN_DENSE;
  if (
    feedforward === undefined ||
    (isDense && feedforward.kind === "dense" && feedforward.width === arch.width)
  ) {
    if (kept.fit)
      throw new UsageError(
        `--fit ${kept.fit} is for other feedforward layers than the teacher's; give a --shape`,
      );
    return { layers, ...narrow, fit: 0 };
  }
  checkFeedforward(config, source, feedforward);
  const fit = kept.fit ?? (feedforward.kind === "trees" ? FIT_STEPS : 0);
  if (fit > 0 && (!canFit(arch) || feedforward.kind === "none"))
    throw new UsageError(
      `--fit ${fit} is for trees and dense layers of models that normalise behind each half, as BERT; leave it out`,
    );
  return { layers, feedforward, ...narrow, fit };
}

/** @throws UsageError */
function checkHeads(arch: Arch, source: string, headSize: number): void {
  if (!canFit(arch))
    throw new UsageError(
      `--head-size ${headSize} is for models that normalise behind each half, as BERT; leave it out`,
    );
  if (headSize > arch.headSize)
    throw new UsageError(
      `--head-size ${headSize}: ${source} has heads of ${plural(arch.headSize, "unit")}; give fewer`,
    );
}

/** @throws as studentShape */
function checkFeedforward({ arch, family }: Config, source: string, feedforward: Feedforward): void {
  const name = feedforwardName(feedforward);
  if (feedforward.kind === "glu")
    throw new UsageError(`--shape ${name}: a student has trees, a dense layer, trees beside one, or none`);
  if (arch.feedforward !== UFFB_FFN_DENSE || arch.width === 0)
    throw new UffbError(
      `${source}: --shape ${name} takes the place of plain dense feedforward layers, which it does not have`,
    );
  const { width } = feedforwardArch(feedforward);
  if (width > arch.width)
    throw new UsageError(`--shape ${name} has more than the ${plural(arch.width, "neuron")} of ${source}`);
  if (feedforward.kind !== "dense" && (family.sizes?.feedforward === undefined || !canFit(arch)))
    throw new UffbError(
      `${source}: a ${family.modelType} cannot become a student with --shape ${name}; give --shape dense:N`,
    );
}

/**
 * Makes the student: the teacher's weights, those of other feedforward halves fitted to what the teacher's do.
 * @param teacher as it runs, of `checkpoint`
 * @throws UffbError
 */
export async function makeStudent(
  teacher: Model,
  checkpoint: Checkpoint,
  shape: StudentShape,
  making: Making,
): Promise<MadeStudent> {
  const { config: original, trainer: weights } = openTrainable(checkpoint);
  using _ = weights;
  const { config, text } = studentConfig(original, checkpoint, shape);
  const has = new Set(weights.parameters().flatMap(({ name, present }) => (present ? [name] : [])));
  const halves = await otherHalves({ teacher, weights, has, config, shape, making });
  const heads = await narrowHeads(teacher, weights, has, { ...making, ...shape });
  const trainer = new NativeTrainer(config.arch, config.padding);
  try {
    for (const { name } of trainer.parameters()) {
      const own = teachersName(name, shape.layers);
      const weight =
        heads?.get(name) ?? halves?.weights.get(name) ?? (has.has(own) ? weights.get(own) : undefined);
      if (weight !== undefined) trainer.set(name, weight);
    }
  } catch (error) {
    trainer[Symbol.dispose]();
    throw error;
  }
  return { config, text, trainer, errors: halves?.errors };
}

/** Of a parameter of the student's. */
function teachersName(name: string, layers: readonly number[]): string {
  return name.replace(/^layer\.(\d+)\./, (_, number) => `layer.${layers[Number(number)]!}.`);
}

/** The student's halves that are not the teacher's, if there are any, by the names that the student has for their weights. */
async function otherHalves({
  teacher,
  weights,
  has,
  config: { arch },
  shape: { layers, feedforward, fit: steps },
  making,
}: {
  teacher: Model;
  /** Of the teacher. */
  weights: NativeTrainer;
  has: ReadonlySet<string>;
  config: Config;
  shape: StudentShape;
  making: Making;
}): Promise<{ weights: Weights; errors?: HalfErrors } | undefined> {
  if (feedforward === undefined) return undefined;
  const { sample, inputs, seed, fits, threads, onFit } = making;
  const start =
    arch.width > 0
      ? await narrowHalves(teacher, weights, has, { layers, width: arch.width, ...making })
      : new Map();
  if (!canFit(arch)) return { weights: start };
  const read = (layer: number, part: string) => {
    const name = `layer.${layer}.${part}`;
    return has.has(name) ? weights.get(name) : undefined;
  };
  using context = openContext(teacher.native, { threads: threads ?? 0 });
  const fit: Fit = {
    context,
    layers,
    inputs: steps > 0 ? inputs : sample,
    steps: fits ? steps : 0,
    seed,
    threads,
    onStep: onFit,
  };
  if (feedforward.kind === "none") {
    const norm1 = layers.map((layer) => ({
      weight: read(layer, "norm1.weight")!,
      bias: read(layer, "norm1.bias"),
    }));
    return await dropHalves(arch.hidden, norm1, fit);
  }
  for (const [i, layer] of layers.entries()) {
    for (const part of ["norm2.weight", "norm2.bias"]) {
      const weight = read(layer, part);
      if (weight !== undefined) start.set(`layer.${i}.${part}`, weight);
    }
  }
  return await fitHalves(arch, start, fit);
}

/** The dense part of the halves, narrowed, by the student's names. */
async function narrowHalves(
  teacher: Model,
  weights: NativeTrainer,
  has: ReadonlySet<string>,
  {
    layers,
    width,
    sample,
    ...reading
  }: Pick<Making, "sample"> & Reading & { layers: readonly number[]; width: number },
): Promise<Weights> {
  if (!has.has("layer.0.ffn.out.bias"))
    throw new UffbError(
      `${teacher.source}: its feedforward layers have no bias, which other ones need; give a student with --student`,
    );
  const found = await narrowed(teacher, sample, {
    layers,
    width,
    weightsOf: (layer) => feedforwardOf(weights, layer),
    normOf: (layer) => nextNorm(weights, has, layer),
    threads: reading.threads,
    onProgress: reading.onProgress,
  });
  const halves: Weights = new Map();
  for (const [i, layer] of layers.entries()) {
    for (const [part, key] of Object.entries(NARROWED)) {
      const weight = found.get(layer)![key];
      if (weight !== undefined) halves.set(`layer.${i}.${part}`, weight);
    }
  }
  return halves;
}

/** The first halves with narrower heads, by the student's names; undefined where heads are the teacher's. */
async function narrowHeads(
  teacher: Model,
  weights: NativeTrainer,
  has: ReadonlySet<string>,
  { layers, headSize: to, sample, ...reading }: StudentShape & Pick<Making, "sample"> & Reading,
): Promise<Weights | undefined> {
  if (to === undefined) return undefined;
  if (!has.has("layer.0.attn.qkv.bias") || !has.has("layer.0.attn.out.bias"))
    throw new UffbError(
      `${teacher.source}: its attention has no biases, which narrower heads need; leave --head-size out`,
    );
  const { headSize: size } = teacher.config.arch;
  const moments = await attentionMoments(teacher, sample, layers, reading);
  const found: Weights = new Map();
  for (const [i, layer] of layers.entries()) {
    const read = (part: string) => weights.get(`layer.${layer}.attn.${part}`);
    const own = {
      qkvWeight: read("qkv.weight"),
      qkvBias: read("qkv.bias"),
      outWeight: read("out.weight"),
      outBias: read("out.bias"),
    };
    const narrower = narrowedHeads(own, moments[i]!, { size, to });
    for (const [part, key] of Object.entries(ATTENTION)) found.set(`layer.${i}.attn.${part}`, narrower[key]);
  }
  return found;
}

/** The parameters of a layer that narrower heads change. */
const ATTENTION: Readonly<Record<string, keyof AttentionWeights>> = {
  "qkv.weight": "qkvWeight",
  "qkv.bias": "qkvBias",
  "out.weight": "outWeight",
  "out.bias": "outBias",
};

/** The parameters of a layer that narrowing changes. */
const NARROWED: Readonly<Record<string, keyof FeedforwardWeights>> = {
  "ffn.in.weight": "inWeight",
  "ffn.in.bias": "inBias",
  "ffn.out.weight": "outWeight",
  "ffn.out.bias": "outBias",
};

function feedforwardOf(trainer: NativeTrainer, layer: number): FeedforwardWeights {
  const read = (part: string) => trainer.get(`layer.${layer}.ffn.${part}`);
  return {
    inWeight: read("in.weight"),
    inBias: read("in.bias"),
    outWeight: read("out.weight"),
    outBias: read("out.bias"),
  };
}

/** The weight of the LayerNorm that reads what a layer's feedforward half puts out. */
function nextNorm(trainer: NativeTrainer, has: ReadonlySet<string>, layer: number): Float32Array | undefined {
  const next = layer + 1 < trainer.arch.layers ? `layer.${layer + 1}.norm1.weight` : "final_norm.weight";
  const name = trainer.arch.normPosition === UFFB_PRE_NORM ? next : `layer.${layer}.norm2.weight`;
  return has.has(name) ? trainer.get(name) : undefined;
}

/**
 * The teacher's config with the student's sizes.
 * @param heads for each layer that stays, which of its heads do, by place, rising; absent where all do
 */
export function studentConfig(
  original: Config,
  checkpoint: Checkpoint,
  { layers, feedforward, headSize }: Pick<StudentShape, "layers" | "feedforward" | "headSize">,
  heads?: readonly (readonly number[])[],
): { config: Config; text: string } {
  const file = checkpoint.file("config.json")!;
  const values = readObject(file.text, file.source);
  const sizes = original.family.sizes!;
  setAt(values, sizes.layers, layers.length);
  if (feedforward?.kind === "dense") setAt(values, sizes.width, feedforward.width);
  else if (feedforward !== undefined) {
    setAt(values, sizes.width, null);
    setAt(values, sizes.feedforward!, feedforwardName(feedforward));
  }
  if (headSize !== undefined) setAt(values, [...sizes.heads.slice(0, -1), HEAD_SIZE_KEY], headSize);
  setPruned(values, original, layers, heads);
  const text = `${JSON.stringify(values, null, 2)}\n`;
  const { arch } = parseConfig(text, file.source);
  const own = feedforward === undefined ? {} : feedforwardArch(feedforward);
  const { layers: count, layerHeads, headSize: units } = arch;
  const sized = { layers: count, layerHeads, headSize: units };
  return { text, config: { ...original, arch: { ...original.arch, ...sized, ...own } } };
}

/** Says which heads layers lack: those that the original's lacked, and those that do not stay. */
function setPruned(
  values: JsonObject,
  { arch, family }: Config,
  layers: readonly number[],
  heads: readonly (readonly number[])[] | undefined,
): void {
  const path = family.sizes!.heads;
  const before = (valueAt(values, path) ?? {}) as PrunedHeads;
  const after: Record<string, number[]> = {};
  for (const [i, layer] of layers.entries()) {
    const all = headNumbers(arch.heads, before[layer]);
    const gone = headNumbers(arch.heads, heads?.[i]?.map((place) => all[place]!) ?? all);
    if (gone.length > 0) after[i] = gone;
  }
  if (Object.keys({ ...before, ...after }).length > 0) setAt(values, path, after);
}
