/** Losses of logits that were computed already, in double precision. */
import { largest } from "../base/numbers.ts";
import type { Kind, Target } from "../data/own/labels.ts";

/** The loss of one example, as the trainer defines it: the mean over labels where there are several. Infinite where it is no number. */
export function lossOf(kind: Kind, logits: ArrayLike<number>, target: Target): number {
  const all = Array.from(logits);
  if (!all.every(Number.isFinite)) return Number.POSITIVE_INFINITY;
  return LOSS[kind](all, target);
}

const LOSS: Record<Kind, (logits: number[], target: Target) => number> = {
  classification: (logits, target) => crossEntropy(logits, target as number),
  // -log of the logistic function, without overflow on either side.
  "multi-label": (logits, target) =>
    mean(
      logits.map(
        (logit, c) =>
          Math.max(logit, 0) - logit * (target as number[])[c]! + Math.log1p(Math.exp(-Math.abs(logit))),
      ),
    ),
  regression: (logits, target) => mean(logits.map((logit, c) => (logit - [target].flat()[c]!) ** 2)),
};

/** -ln of the probability that finite logits give a class. */
export function crossEntropy(logits: readonly number[], label: number): number {
  const most = largest(logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
  return Math.log(sum) + most - logits[label]!;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
