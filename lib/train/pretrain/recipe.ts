/** How a model is pretrained, and how far a run is by its budget. */

import type { Compute } from "../../../ffi/train.ts";
import { UsageError } from "../../base/errors.ts";
import type { Objective } from "../records.ts";
import type { Shape } from "../schedule.ts";
import type { Init } from "./initial.ts";
import type { Order } from "./sequences.ts";

/** What a run may use up: one of these. */
export interface Budget {
  unit: "steps" | "tokens" | "hours";
  amount: number;
}

/**
 * What a run comes to follows from this, the shape, the data and the ISA alone. A budget in hours is the exception: then how far a step is
 * depends on how fast the machine was.
 */
export interface PretrainRecipe {
  budget: Budget;
  /** The largest learning rate, and how it goes over the budget. */
  lr: number;
  schedule: Shape;
  /** Share of the budget over which the rate rises from 0. */
  warmup: number;
  /** Most sequences of an update, how many the engine takes at once, and the share of the budget over which updates grow to the most. */
  batch: number;
  microbatch: number;
  ramp: number;
  /** Tokens of a sequence. */
  length: number;
  /** Share of a sequence's tokens that is masked and predicted. */
  masked: number;
  /** Share of the budget, its beginning, over which each token is predicted from those before it instead. */
  causal: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** Largest norm of a gradient; 0 for any. */
  clip: number;
  /** How far an update moves the biases of trees so that tokens go either way as often; 0: not at all, as published. */
  balance: number;
  /**
   * Standard deviation, at the beginning, of the noise that is added to a node's logit where it decides a token's way; it falls to 0 in proportion
   * to what is left of the budget. 0: none, as published.
   */
  branchNoise: number;
  /**
   * The factor of the positions' sinusoids, for good; 0: from 1/sqrt(hidden) on it is trained, as published. Over a small budget it then first falls
   * to where attention cannot tell positions apart, before attention has learnt to use them.
   */
  positionFactor: number;
  /**
   * How many times as large the kept factor becomes over the masked phase. Embeddings grow about as the root of the updates while they learn, and a
   * factor that stays is lost beside them. 1: it stays.
   */
  positionGrowth: number;
  /** How large the first weights are. */
  init: Init;
  order: Order;
  /** Share of the text that is held out, and the share of its tokens masked when it is scored. */
  heldOut: number;
  scoreMasked: number;
  /** How often the model is scored, spread evenly over the budget. */
  scores: number;
  seed: number;
  /** What linear layers multiply. */
  compute: Compute;
}

/**
 * UltraFastBERT's pretraining, which is cramming's (Geiping and Goldstein, arXiv 2212.14034) with another feedforward layer. The budget was 24 hours
 * on one A6000.
 */
export const CRAMMING: PretrainRecipe = {
  budget: { unit: "hours", amount: 24 },
  lr: 1e-3,
  schedule: "triangle",
  warmup: 0,
  batch: 8192,
  microbatch: 128,
  ramp: 0.6,
  length: 128,
  masked: 0.25,
  causal: 0,
  beta1: 0.9,
  beta2: 0.98,
  eps: 1e-12,
  weightDecay: 0.01,
  clip: 0.5,
  balance: 0,
  branchNoise: 0,
  positionFactor: 0,
  positionGrowth: 1,
  init: "published",
  order: "prevalence",
  heldOut: 0.005,
  scoreMasked: 0.25,
  scores: 20,
  seed: 1,
  compute: "f32",
};

/** @throws UsageError for settings that contradict each other */
export function checkPretrainRecipe(recipe: PretrainRecipe): void {
  const { batch, microbatch, budget, heldOut, positionFactor, positionGrowth } = recipe;
  if (microbatch > batch)
    throw new UsageError(`--microbatch ${microbatch} is more than --batch ${batch}; give at most as many`);
  if (!(budget.amount > 0)) throw new UsageError(`--${budget.unit} ${budget.amount} leaves nothing to do`);
  if (!(heldOut < 1)) throw new UsageError(`--held-out ${heldOut} leaves nothing to train on`);
  if (positionGrowth !== 1 && positionFactor === 0)
    throw new UsageError(
      `--position-growth ${positionGrowth} is of a factor that is kept; give --position-factor`,
    );
}

/** What a run is told by: settings that came later are left out where they are off, so that older runs go on. */
export function settingsOf({
  branchNoise,
  positionFactor,
  positionGrowth,
  init,
  compute,
  ...recipe
}: PretrainRecipe) {
  return {
    ...recipe,
    ...(branchNoise > 0 && { branchNoise }),
    ...(positionFactor > 0 && { positionFactor }),
    ...(positionGrowth !== 1 && { positionGrowth }),
    ...(init !== "published" && { init }),
    ...(compute !== "f32" && { compute }),
  };
}

/** How far a run is. */
export interface Position {
  steps: number;
  sequences: number;
  seconds: number;
}

/** What of the budget is used up, in its unit. */
export function usedOf({ budget: { unit }, length }: PretrainRecipe, at: Position): number {
  return { steps: at.steps, tokens: at.sequences * length, hours: at.seconds / 3600 }[unit];
}

/** The share of the budget that is used up, 0 to 1. */
export function shareOf(recipe: PretrainRecipe, at: Position): number {
  return Math.min(1, usedOf(recipe, at) / recipe.budget.amount);
}

/**
 * Sequences of the update that begins when `share` of the budget is used up: they grow in proportion to it, in whole micro-batches, from one
 * of these to the most at the end of the ramp. A batch that is no multiple of the micro-batch is reached at the end of the ramp alone.
 */
export function batchAt({ batch, microbatch, ramp }: PretrainRecipe, share: number): number {
  if (share >= ramp) return batch;
  return Math.max(microbatch, Math.floor((share / ramp) * (batch / microbatch)) * microbatch);
}

export function objectiveAt({ causal }: PretrainRecipe, share: number): Objective {
  return share < causal ? "causal" : "masked";
}

/** Of the update that begins when `share` of the budget is used up. */
export function branchNoiseAt({ branchNoise }: PretrainRecipe, share: number): number {
  return branchNoise * (1 - share);
}

/** The kept factor of the positions' sinusoids in the update that begins when `share` of the budget is used up. */
export function positionFactorAt(
  { positionFactor, positionGrowth, causal }: PretrainRecipe,
  share: number,
): number {
  const masked = share > causal ? (share - causal) / (1 - causal) : 0;
  return positionFactor * (1 + (positionGrowth - 1) * Math.sqrt(masked));
}

/** Updates and sequences that a budget comes to, where it alone decides that: not one in hours. */
export function extentOf(recipe: PretrainRecipe): { steps: number; sequences: number } | undefined {
  const { unit, amount } = recipe.budget;
  if (unit === "hours") return undefined;
  const at = { steps: 0, sequences: 0, seconds: 0 };
  for (; usedOf(recipe, at) < amount; at.steps++) at.sequences += batchAt(recipe, shareOf(recipe, at));
  return at;
}
