import type { NativeTrainer, Parameter } from "../../ffi/train.ts";
import { Random } from "../base/random.ts";

/** Standard deviation of new weights, as in BERT and cramming. */
export const DEVIATION = 0.02;

/** Gives the new parameters of a head their first weights: biases 0, the others N(0, 0.02), from the seed and their names alone. */
export function initialiseHead(trainer: NativeTrainer, fresh: readonly Parameter[], seed: number): void {
  for (const { name, rows, cols } of fresh) {
    const count = rows * cols;
    const weights = name.endsWith(".bias")
      ? new Float32Array(count)
      : new Random(seed, `weights of ${name}`).normal(count, DEVIATION);
    trainer.set(name, weights);
  }
}

/** Marks what a run leaves as it is: the embedding and the lowest layers, or all but the head. Before `trainer.ready`. */
export function freeze(
  trainer: NativeTrainer,
  { freeze, headOnly }: { freeze: number; headOnly: boolean },
): void {
  if (freeze === 0 && !headOnly) return;
  for (const { name, present, constant, decays } of trainer.parameters()) {
    if (!present || constant) continue;
    const layer = /^layer\.(\d+)\./.exec(name)?.[1];
    const frozen = name.startsWith("embed.") || (layer !== undefined && Number(layer) < freeze);
    if (headOnly ? !name.startsWith("head.") : frozen) trainer.mark(name, { trainable: false, decays });
  }
}
