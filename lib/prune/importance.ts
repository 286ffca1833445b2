/**
 * How much each neuron of dense feedforward layers matters to a task: gradient x value (Michel et al., "Are sixteen heads really better than
 * one?", 2019; Molchanov et al., "Importance estimation for neural network pruning", 2019).
 *
 * With a mask m = 1 on what a neuron puts out, dL/dm is the sum over its output column of gradient x weight, so that no mask is needed. Its
 * size is the change of the loss, to first order, when the neuron goes. Sizes are summed over batches: what helps one text and harms
 * another matters. Gradients are zeroed between batches.
 */
import { UFFB_HEAD_CLASS } from "../../ffi/bindings.ts";
import type { NativeTrainer } from "../../ffi/train.ts";
import type { Kind } from "../data/own/labels.ts";
import { assemble, type Examples, LOSSES } from "../train/batches.ts";

export interface Importance {
  /** For each layer [width] */
  neurons: Float64Array[];
  /** Mean over the examples. */
  loss: number;
}

export interface ImportanceOptions {
  kind: Kind;
  /** Examples a step. */
  batch: number;
  /** Examples that are done; what it throws ends the work. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * @param trainer ready, with plain dense feedforward layers; its weights stay as they are
 * @throws InvalidError for inputs that do not fit the model
 */
export async function neuronImportance(
  trainer: NativeTrainer,
  examples: Examples,
  options: ImportanceOptions,
): Promise<Importance> {
  const { layers, width } = trainer.arch;
  const names = Array.from({ length: layers }, (_, layer) => `layer.${layer}.ffn.out.weight`);
  const weights = names.map((name) => trainer.get(name));
  const neurons = names.map(() => new Float64Array(width));
  trainer.zeroGradients();
  const loss = await eachBatch(trainer, examples, { ...options, backward: true }, () => {
    for (const [layer, name] of names.entries()) {
      const slopes = maskGradients(weights[layer]!, trainer.gradient(name), width);
      const sum = neurons[layer]!;
      for (let j = 0; j < width; j++) sum[j]! += Math.abs(slopes[j]!);
    }
    trainer.zeroGradients();
  });
  return { neurons, loss };
}

/** The mean loss over the examples, without dropout. */
export function meanLoss(
  trainer: NativeTrainer,
  examples: Examples,
  options: ImportanceOptions,
): Promise<number> {
  return eachBatch(trainer, examples, { ...options, backward: false }, () => {});
}

async function eachBatch(
  trainer: NativeTrainer,
  examples: Examples,
  { kind, batch: size, onProgress, backward }: ImportanceOptions & { backward: boolean },
  visit: () => void,
): Promise<number> {
  const total = examples.inputs.length;
  let loss = 0;
  let weight = 0;
  for (let start = 0; start < total; start += size) {
    const count = Math.min(size, total - start);
    const members = Array.from({ length: count }, (_, i) => start + i);
    const { batch, targets } = assemble(examples, members, kind);
    const options = { head: UFFB_HEAD_CLASS, loss: LOSSES[kind], backward };
    const result = await trainer.step(batch, { targets }, options);
    loss += result.loss;
    weight += result.weight;
    visit();
    onProgress?.(start + count, total);
  }
  return loss / weight;
}

/** [width]: dL/dm of a mask on each column of a matrix [*, width], from the matrix and its gradient. */
function maskGradients(weight: Float32Array, gradient: Float32Array, width: number): Float64Array {
  const slopes = new Float64Array(width);
  for (let at = 0; at < weight.length; at += width)
    for (let j = 0; j < width; j++) slopes[j]! += weight[at + j]! * gradient[at + j]!;
  return slopes;
}
