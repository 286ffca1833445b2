/** How much has to go for a model to be so many times as fast: measured, as what stays keeps its time. */
import type { NativeModel } from "../../ffi/model.ts";
import { UffbError } from "../base/errors.ts";
import type { Input } from "../eval/glue/run.ts";
import { openContext } from "../run/device.ts";
import { ragged } from "../text/batches.ts";

/** Widths are multiples of this, which fill the kernels' vectors and tiles. */
const STEP = 16;

/** Times that each of two models runs, in turns. */
const ROUNDS = 5;

/** The widths below `width` that are worth a try, rising. */
export function widthsBelow(width: number): number[] {
  return Array.from({ length: Math.ceil(width / STEP) - 1 }, (_, i) => (i + 1) * STEP);
}

/**
 * The largest of `sizes`, which rise, with which `speedUp` is at least `factor`, by bisection: it takes speed to grow as sizes fall.
 * @param speedUp of the model of such a size over the whole one
 * @param title what a model of the smallest has
 * @throws UffbError when that is not as fast
 */
export async function largestWith(
  sizes: readonly number[],
  factor: number,
  speedUp: (size: number) => Promise<number>,
  title: string,
): Promise<number> {
  const most = sizes.length > 0 ? await speedUp(sizes[0]!) : 1;
  if (most < factor)
    throw new UffbError(
      `--faster ${factor}: with ${title} it is ${most.toFixed(2)} times as fast; ask for less, or take whole layers out with uffb distill --layers`,
    );
  let [fits, slow] = [0, sizes.length];
  while (slow - fits > 1) {
    const middle = (fits + slow) >> 1;
    if ((await speedUp(sizes[middle]!)) >= factor) fits = middle;
    else slow = middle;
  }
  return sizes[fits]!;
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
