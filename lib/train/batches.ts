/** Examples as the trainer takes them, in an order that the seed and the epoch decide. */
import { UFFB_BINARY_CROSS_ENTROPY, UFFB_CROSS_ENTROPY, UFFB_SQUARED_ERROR } from "../../ffi/bindings.ts";
import type { Batch } from "../../ffi/context.ts";
import type { Targets } from "../../ffi/train.ts";
import { Random } from "../base/random.ts";
import type { Kind, Target } from "../data/own/labels.ts";
import type { Input } from "../eval/glue/run.ts";
import { ragged } from "../text/batches.ts";

/** Examples as a model reads them. */
export interface Examples {
  inputs: readonly Input[];
  targets: readonly Target[];
  /** Where example `i` comes from, for messages: a file and a line of it. */
  place(i: number): string;
  /** What a person reads of it. */
  text(i: number): string;
}

export const LOSSES: Record<Kind, number> = {
  classification: UFFB_CROSS_ENTROPY,
  "multi-label": UFFB_BINARY_CROSS_ENTROPY,
  regression: UFFB_SQUARED_ERROR,
};

/** The steps of a run over `examples` examples in batches of `batch`: what is left of an epoch after whole ones is dropped. */
export class Plan {
  readonly perEpoch: number;
  readonly steps: number;
  readonly #order: { epoch: number; numbers: Uint32Array } = { epoch: -1, numbers: new Uint32Array(0) };

  constructor(
    readonly examples: number,
    readonly batch: number,
    epochs: number,
    readonly seed: number,
  ) {
    this.perEpoch = Math.floor(examples / batch);
    this.steps = this.perEpoch * epochs;
  }

  /** The numbers of the examples of a step. */
  members(step: number): Uint32Array {
    const epoch = Math.floor(step / this.perEpoch);
    if (this.#order.epoch !== epoch) {
      this.#order.epoch = epoch;
      this.#order.numbers = new Random(this.seed, "shuffle", epoch).permutation(this.examples);
    }
    const start = (step % this.perEpoch) * this.batch;
    return this.#order.numbers.subarray(start, start + this.batch);
  }
}

/** A batch of examples for the trainer. */
export function assemble(
  { inputs, targets }: Examples,
  members: Iterable<number>,
  kind: Kind,
): { batch: Batch; targets: Targets["targets"] } {
  const chosen = [...members];
  const values = chosen.flatMap((i) => targets[i]!);
  return {
    batch: ragged(chosen.map((i) => inputs[i]!)),
    targets: kind === "classification" ? Int32Array.from(values) : Float32Array.from(values),
  };
}

/**
 * Weights by which what is rare counts as much as what is not. Of classes: examples / (classes * examples of the class), so that all count
 * the same together; of several labels: examples without the label / examples with it, of the latter.
 */
export function balancedWeights(targets: readonly Target[], kind: Kind, classes: number): Float32Array {
  const counts = new Float64Array(classes);
  for (const target of targets) {
    if (typeof target === "number") counts[target]! += 1;
    else for (const [label, on] of target.entries()) counts[label]! += on;
  }
  const all = targets.length;
  return Float32Array.from(counts, (count) => {
    if (count === 0) return 1; // none to weigh
    return kind === "multi-label" ? (all - count) / count : all / (classes * count);
  });
}
