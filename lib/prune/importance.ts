/**
 * How much each neuron of dense feedforward layers, and each head of attention, matters to a task: gradient x value (Michel et al., "Are
 * sixteen heads really better than one?", 2019; Molchanov et al., "Importance estimation for neural network pruning", 2019).
 *
 * With a mask m = 1 on what a neuron puts out, dL/dm is the sum over its output column of gradient x weight, and of a head over the columns
 * of its units, so that no mask is needed. Its size is the change of the loss, to first order, when the neuron or head goes. Sizes are summed
 * over batches: what helps one text and harms another matters. Gradients are zeroed between batches.
 */
import { UFFB_HEAD_CLASS } from "../../ffi/bindings.ts";
import type { NativeTrainer } from "../../ffi/train.ts";
import type { Kind } from "../data/own/labels.ts";
import { assemble, type Examples, LOSSES } from "../train/batches.ts";

export interface Importance {
  /** For each layer [width]; none of models without dense feedforward layers. */
  neurons: Float64Array[];
  /** For each layer [heads of it]. */
  heads: Float64Array[];
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

/** The matrix of a layer by whose columns its neurons or heads put out. */
interface Outputs {
  name: string;
  cols: number;
  /** Columns of a neuron or head. */
  each: number;
  weight: Float32Array;
  importance: Float64Array;
}

/**
 * @param trainer ready; its weights stay as they are
 * @throws InvalidError for inputs that do not fit the model
 */
export async function importanceOf(
  trainer: NativeTrainer,
  examples: Examples,
  options: ImportanceOptions,
): Promise<Importance> {
  const neurons = outputsOf(trainer, "ffn.out.weight", 1);
  const heads = outputsOf(trainer, "attn.out.weight", trainer.arch.headSize);
  trainer.zeroGradients();
  const loss = await eachBatch(trainer, examples, { ...options, backward: true }, () => {
    for (const { name, cols, each, weight, importance } of [...neurons, ...heads]) {
      const slopes = maskGradients(weight, trainer.gradient(name), cols, each);
      for (const [i, slope] of slopes.entries()) importance[i]! += Math.abs(slope);
    }
    trainer.zeroGradients();
  });
  const found = (outputs: Outputs[]) => outputs.map(({ importance }) => importance);
  return { neurons: found(neurons), heads: found(heads), loss };
}

/** Of each layer; none where layers have no such matrix. */
function outputsOf(trainer: NativeTrainer, part: string, each: number): Outputs[] {
  return trainer
    .parameters()
    .filter(({ name }) => name.startsWith("layer.") && name.endsWith(`.${part}`))
    .map(({ name, cols }) => ({
      name,
      cols,
      each,
      weight: trainer.get(name),
      importance: new Float64Array(cols / each),
    }));
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

/** [cols / each]: dL/dm of a mask on every `each` columns of a matrix [*, cols], from the matrix and its gradient. */
function maskGradients(
  weight: Float32Array,
  gradient: Float32Array,
  cols: number,
  each: number,
): Float64Array {
  const slopes = new Float64Array(cols / each);
  for (let at = 0; at < weight.length; at += cols)
    for (let j = 0; j < cols; j++) slopes[Math.trunc(j / each)]! += weight[at + j]! * gradient[at + j]!;
  return slopes;
}
