/** What the feedforward halves of a post-norm model's layers read and, behind the LayerNorm that follows, make of it. */
import { UFFB_TAP_FFN_INPUT, UFFB_TAP_LAYER } from "../../ffi/bindings.ts";
import type { NativeContext } from "../../ffi/context.ts";
import { NativeTaps } from "../../ffi/taps.ts";
import { Random } from "../base/random.ts";
import type { Input } from "../eval/glue/run.ts";
import { group, ragged } from "../text/batches.ts";

/** The states of a layer's feedforward half, [tokens, hidden] each. */
export interface Half {
  input: Float32Array;
  /** Behind the LayerNorm. */
  output: Float32Array;
}

/** Of each of `layers`, what its half reads and makes of texts. */
export async function halvesOf(
  context: NativeContext,
  hidden: number,
  layers: readonly number[],
  texts: readonly Input[],
): Promise<Half[]> {
  const batch = ragged(texts);
  const size = batch.ids.length * hidden;
  using taps = new NativeTaps();
  const halves = layers.map((layer) => {
    const half = { input: new Float32Array(size), output: new Float32Array(size) };
    taps.add(UFFB_TAP_FFN_INPUT, layer, half.input);
    taps.add(UFFB_TAP_LAYER, layer, half.output);
    return half;
  });
  await context.encode(batch, taps);
  return halves;
}

/** Batches of about `tokens` tokens, of the texts in another order each time that all were used. Never ends. */
export function* textBatches(inputs: readonly Input[], tokens: number, seed: number): Generator<Input[]> {
  for (let round = 0; ; round++) {
    const order = new Random(seed, "fit", round).permutation(inputs.length);
    yield* group(
      Array.from(order, (i) => inputs[i]!),
      { weight: ({ ids }) => ids.length, budget: tokens },
    );
  }
}

/** For each of the columns of a matrix [*, width] its mean and its variance. */
export function columnMoments(
  matrix: Float32Array,
  width: number,
): { mean: Float64Array; variance: Float64Array } {
  const count = matrix.length / width;
  const mean = new Float64Array(width);
  const variance = new Float64Array(width);
  for (const [i, value] of matrix.entries()) mean[i % width]! += value / count;
  for (const [i, value] of matrix.entries()) variance[i % width]! += (value - mean[i % width]!) ** 2 / count;
  return { mean, variance };
}

export const sumOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);
