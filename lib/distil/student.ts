/** A student made from its teacher: some of its layers, with some of their neurons. */
import { UFFB_FFN_DENSE, UFFB_PRE_NORM } from "../../ffi/bindings.ts";
import { NativeTrainer } from "../../ffi/train.ts";
import { UffbError, UsageError } from "../base/errors.ts";
import { readObject } from "../base/json.ts";
import { plural } from "../base/numbers.ts";
import type { Input } from "../eval/glue/run.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { type Config, parseConfig } from "../model/config.ts";
import type { Model } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import { setAt } from "../train/save.ts";
import { type FeedforwardWeights, narrowed, type Reading } from "./narrow.ts";

/** What a student keeps of its teacher. */
export interface Kept {
  /** Numbers of layers, rising; all when absent. */
  layers?: readonly number[] | undefined;
  /** Neurons of each feedforward layer; all when absent. */
  width?: number | undefined;
}

/** The same of a teacher that has all that is kept. */
export interface StudentShape {
  layers: readonly number[];
  width: number;
}

export interface MadeStudent {
  config: Config;
  /** Its config.json. */
  text: string;
  /** With its weights, not ready yet. */
  trainer: NativeTrainer;
}

/** @throws UsageError for what the teacher does not have, UffbError for a teacher that no student can be made of */
export function studentShape({ config: { arch, family }, source }: Model, kept: Kept): StudentShape {
  const all = Array.from({ length: arch.layers }, (_, layer) => layer);
  const { layers = all, width = arch.width } = kept;
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
  if (width !== arch.width) {
    if (arch.feedforward !== UFFB_FFN_DENSE)
      throw new UffbError(`${source}: --width is for plain dense feedforward layers, which it does not have`);
    if (width > arch.width)
      throw new UsageError(`--width ${width} is more than the ${plural(arch.width, "neuron")} of ${source}`);
  }
  return { layers, width };
}

/**
 * Makes the student: the teacher's weights, those of narrower feedforward layers fitted to what the teacher's do on `sample`.
 * @param teacher as it runs, of `checkpoint`
 * @throws UffbError
 */
export async function makeStudent(
  teacher: Model,
  checkpoint: Checkpoint,
  { layers, width }: StudentShape,
  sample: readonly Input[],
  reading: Reading = {},
): Promise<MadeStudent> {
  const { config: original, trainer: weights } = openTrainable(checkpoint);
  using _ = weights;
  const { config, text } = studentConfig(original, checkpoint, { layers, width });
  const has = new Set(weights.parameters().flatMap(({ name, present }) => (present ? [name] : [])));
  const narrows = width < original.arch.width;
  if (narrows && !has.has("layer.0.ffn.out.bias"))
    throw new UffbError(
      `${teacher.source}: its feedforward layers have no bias, which --width needs; give a student with --student`,
    );
  const fitted = narrows
    ? await narrowed(teacher, sample, {
        layers,
        width,
        weightsOf: (layer) => feedforwardOf(weights, layer),
        normOf: (layer) => nextNorm(weights, has, layer),
        ...reading,
      })
    : undefined;
  const trainer = new NativeTrainer(config.arch);
  try {
    for (const { name } of trainer.parameters()) {
      const [, number, rest] = /^layer\.(\d+)\.(.*)$/.exec(name) ?? [];
      const from = number === undefined ? undefined : layers[Number(number)]!;
      const own = from === undefined ? name : `layer.${from}.${rest}`;
      if (!has.has(own)) continue;
      const part = fitted && NARROWED[rest ?? ""];
      trainer.set(name, part ? fitted.get(from!)![part]! : weights.get(own));
    }
  } catch (error) {
    trainer[Symbol.dispose]();
    throw error;
  }
  return { config, text, trainer };
}

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

export function studentConfig(
  original: Config,
  checkpoint: Checkpoint,
  { layers, width }: StudentShape,
): { config: Config; text: string } {
  const file = checkpoint.file("config.json")!;
  const values = readObject(file.text, file.source);
  const { sizes } = original.family;
  setAt(values, sizes!.layers, layers.length);
  if (width !== original.arch.width) setAt(values, sizes!.width, width);
  const text = `${JSON.stringify(values, null, 2)}\n`;
  const { arch } = parseConfig(text, file.source);
  return {
    text,
    config: { ...original, arch: { ...original.arch, layers: arch.layers, width: arch.width } },
  };
}
