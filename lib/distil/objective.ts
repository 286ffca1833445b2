/** What a student is to learn of each text: what classes or score the teacher gives it, or which vector. */
import {
  UFFB_BINARY_CROSS_ENTROPY,
  UFFB_COSINE,
  UFFB_HEAD_CLASS,
  UFFB_HEAD_VECTOR,
  UFFB_SOFT_CROSS_ENTROPY,
  UFFB_SQUARED_ERROR,
} from "../../ffi/bindings.ts";
import type { StepOptions } from "../../ffi/train.ts";
import type { Kind, Target } from "../data/own/labels.ts";
import { sigmoid } from "../model/sentence/activations.ts";
import type { DistilRecipe } from "./recipe.ts";

/** What is asked of a batch. */
export interface Asked {
  /** [examples, width] */
  targets: Float32Array;
  options: Pick<StepOptions, "head"> & Partial<StepOptions>;
}

/**
 * Classes: a mixture of the teacher's distribution at the temperature and the label itself. The loss is multiplied by the temperature's
 * square, so that its gradients stay as large (Hinton et al., arXiv 1503.02531). Several labels: each one's probability. Scores: the
 * teacher's.
 * @param outputs the teacher's logits [examples, labels]
 */
export function askedOfClassifier(
  kind: Kind,
  outputs: Float32Array,
  labels: readonly Target[],
  { temperature, hardLabels }: DistilRecipe,
): Asked {
  const head = UFFB_HEAD_CLASS;
  switch (kind) {
    case "regression":
      return { targets: outputs, options: { head, loss: UFFB_SQUARED_ERROR } };
    case "multi-label":
      return { targets: outputs.map(sigmoid), options: { head, loss: UFFB_BINARY_CROSS_ENTROPY } };
    case "classification": {
      const targets = softened(outputs, labels, temperature, hardLabels);
      const scale = temperature ** 2 / labels.length;
      return { targets, options: { head, loss: UFFB_SOFT_CROSS_ENTROPY, temperature, scale } };
    }
  }
}

function softened(
  logits: Float32Array,
  labels: readonly Target[],
  temperature: number,
  hard: number,
): Float32Array {
  const classes = logits.length / labels.length;
  const targets = new Float32Array(logits.length);
  for (const [i, label] of labels.entries()) {
    const row = Array.from(logits.subarray(i * classes, (i + 1) * classes), (logit) => logit / temperature);
    const top = Math.max(...row);
    const powers = row.map((logit) => Math.exp(logit - top));
    const sum = powers.reduce((total, power) => total + power, 0);
    for (const [c, power] of powers.entries())
      targets[i * classes + c] = ((1 - hard) * power) / sum + (c === label ? hard : 0);
  }
  return targets;
}

/** @param outputs the teacher's pooled vectors [examples, hidden] */
export function askedOfVectors(outputs: Float32Array, pooling: number, { similarity }: DistilRecipe): Asked {
  return { targets: outputs, options: { head: UFFB_HEAD_VECTOR, loss: UFFB_COSINE, pooling, similarity } };
}

/** Mean over texts of 1 - the cosine of two vectors each, both [texts, width]. */
export function cosineLoss(a: Float32Array, b: Float32Array, width: number): number {
  const count = a.length / width;
  let sum = 0;
  for (let at = 0; at < a.length; at += width) {
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = at; i < at + width; i++) {
      ab += a[i]! * b[i]!;
      aa += a[i]! ** 2;
      bb += b[i]! ** 2;
    }
    sum += 1 - ab / Math.sqrt(aa * bb || 1);
  }
  return sum / count;
}
