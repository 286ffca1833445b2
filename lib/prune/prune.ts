/** A classifier without the feedforward neurons that matter least to its task: what `uffb prune` does. */
import { UFFB_FFN_DENSE } from "../../ffi/bindings.ts";
import { NativeTrainer } from "../../ffi/train.ts";
import { UffbError, UsageError } from "../base/errors.ts";
import { plural } from "../base/numbers.ts";
import { Random } from "../base/random.ts";
import type { Kind } from "../data/own/labels.ts";
import { columnsOf, largestOf, rowsOf } from "../distil/narrow.ts";
import { studentConfig } from "../distil/student.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { modelTexts } from "../files/packed.ts";
import type { Config } from "../model/config.ts";
import type { Model } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import type { Examples } from "../train/batches.ts";
import { encodeTexts, type Texts } from "../train/encode.ts";
import { saveModel } from "../train/save.ts";
import { speedUpOf, widthFor } from "./budget.ts";
import { meanLoss, neuronImportance } from "./importance.ts";

export interface PruneOptions {
  /** Neurons of each feedforward layer that stay; or, instead, how many times as fast as the whole the result is to be. */
  width?: number | undefined;
  faster?: number | undefined;
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
  /** For each layer the neurons that stay, rising. */
  kept: readonly (readonly number[])[];
  /** Neurons of each layer before and after. */
  width: { before: number; after: number };
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

/** @throws UsageError, UffbError for a model whose neurons cannot go, or for more of them than it has */
export function checkPrunable({ config: { arch, family, task }, source }: Source, width = 1): Kind {
  if (task !== "classification" && task !== "multi-label" && task !== "regression")
    throw new UffbError(
      `${source} does not classify texts; what matters is told by a task, so train one first with uffb finetune, or make an encoder narrower with uffb distill --width`,
    );
  if (arch.feedforward !== UFFB_FFN_DENSE || arch.width === 0 || arch.trees > 0)
    throw new UffbError(
      `${source}: only neurons of plain dense feedforward layers can go, and it has others`,
    );
  if (family.sizes === undefined || arch.distinctLayers > 0)
    throw new UffbError(`${source}: its kind of model, ${family.modelType}, cannot be pruned`);
  if (width >= arch.width)
    throw new UsageError(
      `--width ${width}: ${source} has ${plural(arch.width, "neuron")} in each feedforward layer; give fewer`,
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
  const kind = checkPrunable(model, options.width);
  const { config, trainer: whole } = openTrainable(checkpoint);
  using _ = whole;
  whole.ready({ threads: options.threads });
  const examples = drawn(
    encodeTexts(model, texts, Math.min(options.maxLength, config.arch.maxLength)),
    options,
  );
  const { batch, onProgress } = options;
  const found = await neuronImportance(whole, examples, { kind, batch, onProgress });
  const cut = (width: number) => {
    const kept = found.neurons.map((neurons) => largestOf(neurons, width));
    const { text, config: smaller } = studentConfig(config, checkpoint, {
      layers: [...kept.keys()],
      feedforward: { kind: "dense", width },
    });
    const trainer = withNeurons(whole, smaller, kept);
    trainer.ready({ threads: options.threads });
    return { kept, text, smaller, trainer };
  };
  const timed = examples.inputs.slice(-TIMED);
  const speedUp = async (width: number) => {
    using trainer = cut(width).trainer;
    return await speedUpOf(whole.model(), trainer.model(), timed, options.threads ?? 0);
  };
  const width = options.width ?? (await widthFor(config.arch.width, options.faster ?? 1, speedUp));
  const faster = options.faster && (await speedUp(width));
  const { kept, text, smaller, trainer } = cut(width);
  using __ = trainer;
  await saveModel(output, trainer, smaller, {
    ...Object.fromEntries(modelTexts(checkpoint.file)),
    "config.json": text,
  });
  return {
    kept,
    width: { before: config.arch.width, after: width },
    ...(faster !== undefined && { faster }),
    weights: { before: count(whole), after: count(trainer) },
    loss: { before: found.loss, after: await meanLoss(trainer, examples, { kind, batch }) },
    examples: examples.inputs.length,
  };
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

/**
 * The same model with some of the neurons of each layer, in their order. It computes what the whole one does with zeros in the output
 * columns of the others.
 * @param kept for each layer the numbers of those that stay, rising
 */
function withNeurons(
  whole: NativeTrainer,
  { arch, padding }: Pick<Config, "arch" | "padding">,
  kept: readonly (readonly number[])[],
): NativeTrainer {
  const trainer = new NativeTrainer(arch, padding);
  try {
    for (const { name, present, cols } of whole.parameters()) {
      if (!present) continue;
      const [, layer, part] = /^layer\.(\d+)\.ffn\.((?:in|out)\.(?:weight|bias))$/.exec(name) ?? [];
      const weight = whole.get(name);
      const stays = kept[Number(layer)];
      if (stays === undefined || part === "out.bias") trainer.set(name, weight);
      else if (part === "out.weight") trainer.set(name, columnsOf(weight, cols, stays));
      else trainer.set(name, rowsOf(weight, part === "in.bias" ? 1 : cols, stays));
    }
    return trainer;
  } catch (error) {
    trainer[Symbol.dispose]();
    throw error;
  }
}

const count = (trainer: NativeTrainer): number =>
  trainer.parameters().reduce((sum, { present, rows, cols }) => sum + (present ? rows * cols : 0), 0);
