/** A classifier without the feedforward neurons and heads that matter least to its task: what `uffb prune` does. */
import { UFFB_FFN_DENSE } from "../../ffi/bindings.ts";
import type { NativeTrainer } from "../../ffi/train.ts";
import { UffbError, UsageError } from "../base/errors.ts";
import { plural } from "../base/numbers.ts";
import { Random } from "../base/random.ts";
import type { Kind } from "../data/own/labels.ts";
import { largestOf } from "../distil/narrow.ts";
import { studentConfig } from "../distil/student.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { modelTexts } from "../files/packed.ts";
import type { Config } from "../model/config.ts";
import { headCount } from "../model/families/heads.ts";
import type { Model } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import type { Examples } from "../train/batches.ts";
import { encodeTexts, type Texts } from "../train/encode.ts";
import { saveModel } from "../train/save.ts";
import { largestWith, speedUpOf, widthsBelow } from "./budget.ts";
import { importanceOf, meanLoss } from "./importance.ts";
import { mostImportantHeads, withKept } from "./kept.ts";

/** What is to stay; all where it is absent. */
export interface Wanted {
  /** Neurons of each feedforward layer. */
  width?: number | undefined;
  /** Heads of all layers together. */
  heads?: number | undefined;
  /**
   * How many times as fast as the whole the result is to be. As many neurons stay as allow it; where their number is given, or there are
   * none that can go, heads.
   */
  faster?: number | undefined;
}

export interface PruneOptions extends Wanted {
  /** Examples that tell which matter, drawn from the training data by the seed. */
  examples: number;
  /** Examples a step. */
  batch: number;
  /** Tokens that longer texts are cut to. */
  maxLength: number;
  seed: number;
  threads?: number | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface Pruned {
  /** For each layer the neurons that stay, rising; none of models without dense feedforward layers. */
  kept: readonly (readonly number[])[];
  /** Neurons of each layer before and after. */
  width: { before: number; after: number };
  /** Of all layers together; and for each layer the places of those that stay, among those that it had. */
  heads: { before: number; after: number; kept: readonly (readonly number[])[] };
  /** How many times as fast it is, measured again, where that was asked for. */
  faster?: number;
  /** Weights in all, before and after. */
  weights: { before: number; after: number };
  /** Mean over the examples. */
  loss: { before: number; after: number };
  examples: number;
}

/** Texts, the longest, that a model is timed on. */
const TIMED = 16;

type Source = Pick<Model, "config" | "source" | "tokenizer">;

/** Neurons of each layer, and heads of all. */
interface Sizes {
  width: number;
  heads: number;
}

function sizesOf({ arch }: Pick<Config, "arch">): Sizes {
  const layers = Array.from({ length: arch.layers }, (_, layer) => headCount(arch, layer));
  return { width: arch.width, heads: layers.reduce((sum, count) => sum + count, 0) };
}

const hasNeurons = ({ arch }: Pick<Config, "arch">): boolean =>
  arch.feedforward === UFFB_FFN_DENSE && arch.width > 0 && arch.trees === 0;

/** @throws UsageError, UffbError for a model of which nothing can go, or for more than it has */
export function checkPrunable({ config, source }: Source, wanted: Wanted = {}): Kind {
  const { arch, family, task } = config;
  const { width, heads, faster } = wanted;
  if (task !== "classification" && task !== "multi-label" && task !== "regression")
    throw new UffbError(
      `${source} does not classify texts; what matters is told by a task, so train one first with uffb finetune, or make an encoder narrower with uffb distill --width`,
    );
  if (family.sizes === undefined || arch.distinctLayers > 0)
    throw new UffbError(`${source}: its kind of model, ${family.modelType}, cannot be pruned`);
  if ((width !== undefined || (heads !== undefined && faster !== undefined)) && !hasNeurons(config))
    throw new UffbError(
      `${source}: only neurons of plain dense feedforward layers can go, and it has others; give --heads or --faster alone`,
    );
  if (width !== undefined && width >= arch.width)
    throw new UsageError(
      `--width ${width}: ${source} has ${plural(arch.width, "neuron")} in each feedforward layer; give fewer`,
    );
  const all = sizesOf(config).heads;
  if (heads !== undefined && (heads >= all || heads < arch.layers))
    throw new UsageError(
      `--heads ${heads}: ${source} has ${plural(all, "head")} in ${plural(arch.layers, "layer")}, each of which keeps one; give ${arch.layers} to ${all - 1}`,
    );
  return task;
}

/** Writes the folder `output`. @throws what checkPrunable throws; UffbError for weights in integers */
export async function prune(
  model: Source,
  checkpoint: Checkpoint,
  texts: Texts,
  output: string,
  options: PruneOptions,
): Promise<Pruned> {
  const kind = checkPrunable(model, options);
  const { config, trainer: whole } = openTrainable(checkpoint);
  using _ = whole;
  whole.ready({ threads: options.threads });
  const examples = drawn(
    encodeTexts(model, texts, Math.min(options.maxLength, config.arch.maxLength)),
    options,
  );
  const { batch, onProgress } = options;
  const found = await importanceOf(whole, examples, { kind, batch, onProgress });
  const before = sizesOf(config);
  const layers = Array.from({ length: config.arch.layers }, (_, layer) => layer);
  const cut = ({ width, heads }: Sizes) => {
    const kept = {
      neurons: hasNeurons(config) ? found.neurons.map((neurons) => largestOf(neurons, width)) : [],
      heads: mostImportantHeads(found.heads, heads),
    };
    const shape = { layers, ...(width < before.width && { feedforward: { kind: "dense", width } as const }) };
    const { text, config: smaller } = studentConfig(config, checkpoint, shape, kept.heads);
    const trainer = withKept(whole, smaller, kept);
    trainer.ready({ threads: options.threads });
    return { kept, text, smaller, trainer };
  };
  const timed = examples.inputs.slice(-TIMED);
  const speedUp = async (sizes: Sizes) => {
    using trainer = cut(sizes).trainer;
    return await speedUpOf(whole.model(), trainer.model(), timed, options.threads ?? 0);
  };
  const after = await sizesFor(config, options, speedUp);
  const faster = options.faster && (await speedUp(after));
  const { kept, text, smaller, trainer } = cut(after);
  using __ = trainer;
  await saveModel(output, trainer, smaller, {
    ...Object.fromEntries(modelTexts(checkpoint.file)),
    "config.json": text,
  });
  return {
    kept: kept.neurons,
    width: { before: before.width, after: after.width },
    heads: { before: before.heads, after: after.heads, kept: kept.heads },
    ...(faster !== undefined && { faster }),
    weights: { before: count(whole), after: count(trainer) },
    loss: { before: found.loss, after: await meanLoss(trainer, examples, { kind, batch }) },
    examples: examples.inputs.length,
  };
}

/** How much is to stay. */
async function sizesFor(
  config: Config,
  { width, heads, faster }: Wanted,
  speedUp: (sizes: Sizes) => Promise<number>,
): Promise<Sizes> {
  const whole = sizesOf(config);
  const given = { width: width ?? whole.width, heads: heads ?? whole.heads };
  if (faster === undefined) return given;
  if (width === undefined && hasNeurons(config)) {
    const sizes = widthsBelow(whole.width);
    const title = `${sizes[0] ?? whole.width} neurons in each feedforward layer`;
    return {
      ...given,
      width: await largestWith(sizes, faster, (n) => speedUp({ ...given, width: n }), title),
    };
  }
  const { layers } = config.arch;
  const sizes = Array.from({ length: whole.heads - layers }, (_, i) => layers + i);
  const title = "one head in each layer";
  return { ...given, heads: await largestWith(sizes, faster, (n) => speedUp({ ...given, heads: n }), title) };
}

/** As many examples as asked for, of similar length side by side. */
function drawn(all: Examples, { examples, seed }: PruneOptions): Examples {
  const order = new Random(seed, "prune").permutation(all.inputs.length).subarray(0, examples);
  const chosen = [...order].sort((a, b) => all.inputs[a]!.ids.length - all.inputs[b]!.ids.length || a - b);
  return {
    inputs: chosen.map((i) => all.inputs[i]!),
    targets: chosen.map((i) => all.targets[i]!),
    place: (i) => all.place(chosen[i]!),
    text: (i) => all.text(chosen[i]!),
  };
}

const count = (trainer: NativeTrainer): number =>
  trainer.parameters().reduce((sum, { present, rows, cols }) => sum + (present ? rows * cols : 0), 0);
