import { UsageError } from "../base/errors.ts";
import { FINETUNE, type Recipe, settingsOf } from "../train/recipe.ts";

/** How a student is trained, and what of its teacher counts for how much. */
export interface DistilRecipe extends Recipe {
  /** Of classes: both models' logits are divided by it before they are compared. */
  temperature: number;
  /** Of classes, 0 to 1: the share of each target that is the label itself; the rest is what the teacher says. */
  hardLabels: number;
  /** Of sentence vectors: weight of the squared difference of cosines within the batch, beside 1 for each vector's own cosine. */
  similarity: number;
  /** Weight of the mean squared difference of states: of the embedding, after each layer (their mean), and of the final ones. */
  embedding: number;
  states: number;
  final: number;
  /** Weight of the divergence of attention's probabilities, of each layer (their mean). */
  attention: number;
}

/**
 * For classifiers and scores, by FastFormers (arXiv 2010.13382): soft cross-entropy at temperature 1 without labels, and a tenth of the
 * difference of embedding and last states.
 */
export const DISTIL_TASK: DistilRecipe = {
  ...FINETUNE,
  epochs: 10,
  schedule: "linear",
  warmup: 0.06,
  weightDecay: 0.01,
  temperature: 1,
  hardLabels: 0,
  similarity: 0,
  embedding: 0.1,
  states: 0,
  final: 0.1,
  attention: 0,
};

/** For sentence vectors. */
export const DISTIL_VECTORS: DistilRecipe = {
  ...FINETUNE,
  epochs: 1,
  batch: 64,
  lr: 5e-4,
  schedule: "linear",
  warmup: 0.05,
  weightDecay: 0.01,
  clip: 1,
  dropout: 0,
  temperature: 1,
  hardLabels: 0,
  similarity: 1,
  embedding: 0,
  states: 1,
  final: 0,
  attention: 0,
};

/** What a run is told by; see settingsOf. */
export function distilSettings({ attention, ...recipe }: DistilRecipe) {
  return { ...settingsOf(recipe), ...(attention > 0 && { attention }) };
}

/** What is compared, whose kind decides which settings mean something. */
export type Compared = "classification" | "multi-label" | "regression" | "vectors";

/** @throws UsageError for settings that are not for what is compared */
export function checkWeights(recipe: DistilRecipe, compared: Compared): void {
  const { temperature, hardLabels, similarity } = recipe;
  if (compared !== "classification" && temperature !== 1)
    throw new UsageError(
      `--temperature ${temperature} is for a teacher that tells classes apart; leave it out`,
    );
  if (compared === "vectors" && hardLabels > 0)
    throw new UsageError("--hard-labels is for a classifier; sentences have none, so leave it out");
  if (compared !== "vectors" && similarity > 0)
    throw new UsageError("--similarity is for a teacher that makes sentence vectors; leave it out");
  if (recipe.headOnly || recipe.classWeights !== "none" || recipe.labelSmoothing > 0)
    throw new UsageError(
      "--label-smoothing is not for distillation: the teacher's say is smooth; leave it out",
    );
}
