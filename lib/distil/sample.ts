/** What a model computes on the way, over a sample of texts. */
import { NativeTaps } from "../../ffi/taps.ts";
import type { Input } from "../eval/glue/run.ts";
import type { Model } from "../model/model.ts";
import { openContext } from "../run/device.ts";
import { BATCH_TOKENS, group, ragged } from "../text/batches.ts";

/** How a sample is read. */
export interface Reading {
  threads?: number | undefined;
  /** Texts that are done; what it throws ends the work. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A place that is read; see NativeTaps.add. */
export interface Tapped {
  kind: number;
  layer: number;
  /** Numbers a token. */
  width: number;
}

/** Calls `visit` with the values [tokens, width] of each of `places`, by its number there, batch by batch. */
export async function readSample(
  model: Model,
  inputs: readonly Input[],
  places: readonly Tapped[],
  { threads, onProgress }: Reading,
  visit: (place: number, tokens: number, values: Float32Array) => void,
): Promise<void> {
  using context = openContext(model.native, { threads: threads ?? 0 });
  let done = 0;
  for (const part of group(inputs, { weight: ({ ids }) => ids.length, budget: BATCH_TOKENS })) {
    const batch = ragged(part);
    const tokens = batch.ids.length;
    using taps = new NativeTaps();
    const buffers = places.map(({ kind, layer, width }) => {
      const values = new Float32Array(tokens * width);
      taps.add(kind, layer, values);
      return values;
    });
    await context.encode(batch, taps);
    for (const [i, values] of buffers.entries()) visit(i, tokens, values);
    done += part.length;
    onProgress?.(done, inputs.length);
  }
}
