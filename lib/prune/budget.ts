/** How narrow feedforward layers have to be for a model to be so many times as fast: measured, as attention keeps its time. */
import type { NativeModel } from "../../ffi/model.ts";
import { UffbError } from "../base/errors.ts";
import type { Input } from "../eval/glue/run.ts";
import { openContext } from "../run/device.ts";
import { ragged } from "../text/batches.ts";

/** Widths are multiples of this, which fill the kernels' vectors and tiles. */
const STEP = 16;

/** Times that each of two models runs, in turns. */
const ROUNDS = 5;

/**
 * The largest width of less than `width` with which `speedUp` is at least `factor`, by bisection: it takes speed to grow as width falls.
 * @param speedUp of the model with so many neurons a layer over the whole one
 * @throws UffbError when the narrowest is not as fast
 */
export async function widthFor(
  width: number,
  factor: number,
  speedUp: (width: number) => Promise<number>,
): Promise<number> {
  const widest = Math.ceil(width / STEP) - 1;
  const most = widest > 0 ? await speedUp(STEP) : 1;
  if (most < factor)
    throw new UffbError(
      `--faster ${factor}: with ${STEP} neurons in each feedforward layer it is ${most.toFixed(2)} times as fast; ask for less, or take whole layers out with uffb distill --layers`,
    );
  let [fits, slow] = [1, widest + 1];
  while (slow - fits > 1) {
    const middle = (fits + slow) >> 1;
    if ((await speedUp(middle * STEP)) >= factor) fits = middle;
    else slow = middle;
  }
  return fits * STEP;
}

/** How many times as fast `model` encodes inputs as `whole`, one batch in f32: the least time of each. */
export async function speedUpOf(
  whole: NativeModel,
  model: NativeModel,
  inputs: readonly Input[],
  threads: number,
): Promise<number> {
  const batch = ragged(inputs);
  using first = openContext(whole, { threads });
  using second = openContext(model, { threads });
  const least = [Infinity, Infinity];
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, context] of [first, second].entries()) {
      const start = performance.now();
      await context.encode(batch);
      if (round > 0) least[i] = Math.min(least[i]!, performance.now() - start);
    }
  }
  return least[0]! / least[1]!;
}
