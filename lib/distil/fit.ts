/**
 * Feedforward halves of a student's layers, each trained alone to do what the teacher's does: it reads the teacher's states, and its error is
 * measured behind the LayerNorm that follows, for that of plain outputs is ruled by a few large dimensions and says little.
 */
import { type Arch, UFFB_POST_NORM } from "../../ffi/bindings.ts";
import type { NativeContext } from "../../ffi/context.ts";
import { NativeTrainer } from "../../ffi/train.ts";
import { UffbError } from "../base/errors.ts";
import { Random } from "../base/random.ts";
import type { Input } from "../eval/glue/run.ts";
import { columnMoments, type Half, halvesOf, sumOf, textBatches } from "./halves.ts";

/** Weights by the names that the student has for them. */
export type Weights = Map<string, Float32Array>;

/** For each of the student's layers: mean squared error behind the LayerNorm, as a share of the variance there, on texts that are not trained on. */
export interface HalfErrors {
  before: number[];
  after: number[];
}

export interface Fit {
  /** Of the teacher. */
  context: NativeContext;
  /** The teacher's layer that each of the student's was made of. */
  layers: readonly number[];
  inputs: readonly Input[];
  steps: number;
  seed: number;
  threads?: number | undefined;
  /** What it throws ends the work. */
  onStep?: ((done: number, steps: number) => void) | undefined;
}

/** Tokens of a step. */
export const FIT_TOKENS = 2048;
/** Learning rate of AdamW at its highest, and the share of the steps until then; it falls to 0 on a line. */
const RATE = 2e-3;
const WARMUP = 0.05;

/** Whose states of FIT_TOKENS tokens the error is measured on, and whose are trained on. */
function heldOut(inputs: readonly Input[], seed: number): { held: Input[]; others: Input[] } {
  const held = textBatches(inputs, FIT_TOKENS, seed).next().value as Input[];
  const others = inputs.filter((input) => !held.includes(input));
  return { held, others: others.length > 0 ? others : held };
}

/** What a layer's trees begin as: nodes that send tokens either way alike, and put nothing out. */
function newTrees(arch: Arch, layer: number, input: Float32Array, seed: number): Weights {
  const { hidden, trees, depth } = arch;
  const nodes = trees * (2 ** (depth + 1) - 1);
  const { mean, variance } = columnMoments(input, hidden);
  const rows = new Random(seed, "trees", layer).normal(nodes * hidden, 1 / Math.sqrt(sumOf(variance) || 1));
  const bias = Float32Array.from({ length: nodes }, (_, node) =>
    mean.reduce((sum, value, i) => sum - value * rows[node * hidden + i]!, 0),
  );
  return new Map([
    [`layer.${layer}.fff.in.weight`, rows],
    [`layer.${layer}.fff.in.bias`, bias],
    [`layer.${layer}.fff.out.weight`, new Float32Array(hidden * nodes)],
  ]);
}

const HALF = /^layer\.\d+\.(ffn|fff|norm2)\./;

/**
 * Trains the halves of all layers side by side.
 * @param arch the student's, which has feedforward layers
 * @param start what there is of them already, LayerNorm included; trees are made
 * @returns their weights, all of them
 */
export async function fitHalves(
  arch: Arch,
  start: Weights,
  { context, layers, inputs, steps, seed, threads, onStep }: Fit,
): Promise<{ weights: Weights; errors: HalfErrors }> {
  const { hidden } = arch;
  const { held, others } = heldOut(inputs, seed);
  const measured = await halvesOf(context, hidden, layers, held);
  using trainer = halvesAlone(arch, (layer) => newTrees(arch, layer, measured[layer]!.input, seed), start);
  trainer.ready({ threads });
  const before = await errorsOf(trainer, measured);
  const batches = textBatches(others, FIT_TOKENS, seed + 1);
  for (let step = 0; step < steps; step++) {
    onStep?.(step, steps);
    const halves = await halvesOf(context, hidden, layers, batches.next().value as Input[]);
    for (const [layer, half] of halves.entries()) await trainer.fit(layer, half);
    const rise = Math.min(1, (step + 1) / (WARMUP * steps));
    const lr = RATE * rise * (1 - step / steps);
    const { finite } = await trainer.update({ ...ADAM, lr });
    if (!finite)
      throw new UffbError("the fit of the feedforward layers came to no numbers; give fewer --fit steps");
  }
  const after = steps > 0 ? await errorsOf(trainer, measured) : before;
  const own = trainer.parameters().filter(({ name, present }) => present && HALF.test(name));
  return { weights: new Map(own.map(({ name }) => [name, trainer.get(name)])), errors: { before, after } };
}

const ADAM = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, clip: 0 };

/** A model of those layers that reads no tokens: all but the halves is zero, and stays so. */
function halvesAlone(arch: Arch, trees: (layer: number) => Weights, start: Weights): NativeTrainer {
  const alone = {
    tokenTypes: 0,
    positionOffset: 0,
    vocab: 1,
    maxLength: 1,
    headsPresent: 0,
    labels: 0,
    tied: 0,
  };
  const trainer = new NativeTrainer({ ...arch, ...alone });
  try {
    const given = new Map(start);
    for (let layer = 0; arch.trees > 0 && layer < arch.layers; layer++)
      for (const [name, weight] of trees(layer)) given.set(name, weight);
    for (const { name, rows, cols, required, constant } of trainer.parameters()) {
      const weight = given.get(name);
      if (weight !== undefined) trainer.set(name, weight);
      else {
        if (required) trainer.set(name, new Float32Array(rows * cols));
        if (!constant) trainer.mark(name, { trainable: false, decays: false });
      }
    }
    return trainer;
  } catch (error) {
    trainer[Symbol.dispose]();
    throw error;
  }
}

async function errorsOf(trainer: NativeTrainer, halves: readonly Half[]): Promise<number[]> {
  const errors: number[] = [];
  for (const [layer, half] of halves.entries()) {
    const mean = await trainer.fit(layer, half, { backward: false });
    errors.push(
      (mean * trainer.arch.hidden) / (sumOf(columnMoments(half.output, trainer.arch.hidden).variance) || 1),
    );
  }
  return errors;
}

/**
 * Without feedforward layers: a block ends with attention's LayerNorm, whose weight and bias become those that bring its output, number by
 * number, nearest to what was behind the other LayerNorm, by least squares.
 * @param norm1 of each of the student's layers, as the teacher has it
 */
export async function dropHalves(
  hidden: number,
  norm1: readonly { weight: Float32Array; bias: Float32Array | undefined }[],
  { context, layers, inputs, seed }: Fit,
): Promise<{ weights: Weights; errors: HalfErrors }> {
  const { held, others } = heldOut(inputs, seed);
  const read = textBatches(others, FIT_TOKENS, seed + 1).next().value as Input[];
  const seen = await halvesOf(context, hidden, layers, read);
  const measured = await halvesOf(context, hidden, layers, held);
  const weights: Weights = new Map();
  const errors: HalfErrors = { before: [], after: [] };
  for (const [layer, { weight, bias }] of norm1.entries()) {
    const { factor, added } = nearestLine(seen[layer]!, hidden);
    weights.set(
      `layer.${layer}.norm1.weight`,
      weight.map((w, i) => w * factor[i]!),
    );
    weights.set(
      `layer.${layer}.norm1.bias`,
      Float32Array.from(factor, (times, i) => times * (bias?.[i] ?? 0) + added[i]!),
    );
    errors.before.push(shareLeft(measured[layer]!, hidden, (value) => value));
    errors.after.push(shareLeft(measured[layer]!, hidden, (value, i) => factor[i]! * value + added[i]!));
  }
  return { weights, errors };
}

/** For each column the a and c with which a * input + c is nearest to the output. */
function nearestLine({ input, output }: Half, width: number): { factor: Float64Array; added: Float64Array } {
  const [x, y] = [columnMoments(input, width), columnMoments(output, width)];
  const together = new Float64Array(width);
  const count = input.length / width;
  for (const [i, value] of input.entries())
    together[i % width]! += ((value - x.mean[i % width]!) * (output[i]! - y.mean[i % width]!)) / count;
  const factor = together.map((product, i) => product / (x.variance[i]! || 1));
  return { factor, added: y.mean.map((mean, i) => mean - factor[i]! * x.mean[i]!) };
}

function shareLeft(
  { input, output }: Half,
  width: number,
  made: (value: number, column: number) => number,
): number {
  let squares = 0;
  for (const [i, value] of input.entries()) squares += (made(value, i % width) - output[i]!) ** 2;
  return squares / (input.length / width) / (sumOf(columnMoments(output, width).variance) || 1);
}

/** Whether halves can be fitted alone: a model that normalises behind each. */
export const canFit = ({ normPosition }: Arch): boolean => normPosition === UFFB_POST_NORM;
