import type { Adamw } from "../../ffi/bindings.ts";
import type { Compute } from "../../ffi/train.ts";
import { UsageError } from "../base/errors.ts";
import type { Shape } from "./schedule.ts";

export const COMPUTES = ["f32", "bf16"] as const satisfies Compute[];

/** How a model is trained. What a run comes to follows from this, the data, the start and the ISA alone. */
export interface Recipe {
  epochs: number;
  /** Examples a step. What is left of an epoch after whole batches is dropped. */
  batch: number;
  /** The largest learning rate, and how it goes. */
  lr: number;
  schedule: Shape;
  /** Share of all steps over which the rate rises. */
  warmup: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** Largest norm of a gradient; 0 for any. */
  clip: number;
  /** Of embedding, attention probabilities, both block outputs and the head. */
  dropout: number;
  labelSmoothing: number;
  /** "balanced": a class counts as much as another, however few examples it has. */
  classWeights: "none" | "balanced";
  /** Most tokens of an input. */
  maxLength: number;
  seed: number;
  /** Layers at the bottom that stay as they are, the embedding with them. */
  freeze: number;
  /** Only the head is trained, on vectors that the encoder gives once. */
  headOnly: boolean;
  /** Which weights the result has: the last, or those of the epoch with the best score. */
  keep: "last" | "best";
  /** Epochs without a better score after which a run ends; 0 for none. */
  patience: number;
  /** What linear layers multiply. */
  compute: Compute;
}

/**
 * How UltraFastBERT and crammed BERT were fine-tuned for their published scores on GLUE ("GLUE-sane" in the released code; hyperparameters
 * alike for all tasks): the last epoch counts.
 */
export const GLUE_SANE: Recipe = {
  epochs: 5,
  batch: 16,
  lr: 4e-5,
  schedule: "cosine",
  warmup: 0.1,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-6,
  weightDecay: 0,
  clip: 0,
  dropout: 0.1,
  labelSmoothing: 0,
  classWeights: "none",
  maxLength: 128,
  seed: 1,
  freeze: 0,
  headOnly: false,
  keep: "last",
  patience: 0,
  compute: "f32",
};

/** The same for own data, where the best epoch is wanted. */
export const FINETUNE: Recipe = { ...GLUE_SANE, keep: "best" };

/** For a head alone, whose steps cost next to nothing. */
export const HEAD_ONLY: Recipe = { ...FINETUNE, epochs: 30, lr: 1e-3, headOnly: true };

/** The optimiser's settings; the learning rate is the step's. */
export function adamwOf({ beta1, beta2, eps, weightDecay, clip }: Omit<Adamw, "lr">): Omit<Adamw, "lr"> {
  return { beta1, beta2, eps, weightDecay, clip };
}

/** What a run is told by: settings that came later are left out where they are off, so that older runs go on. */
export function settingsOf<R extends Recipe>({ compute, ...recipe }: R) {
  return { ...recipe, ...(compute !== "f32" && { compute }) };
}

/** @throws UsageError for settings that contradict each other */
export function checkRecipe(recipe: Recipe, layers: number): void {
  if (recipe.freeze > layers)
    throw new UsageError(`--freeze ${recipe.freeze} is more than the model's ${layers} layers`);
  if (recipe.headOnly && recipe.freeze > 0)
    throw new UsageError("--head-only freezes every layer; leave --freeze out");
}
