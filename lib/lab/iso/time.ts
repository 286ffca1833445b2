/** How long the models take in the engine, in turn on one machine. */
import { type Batch, NativeContext } from "../../../ffi/context.ts";
import { median } from "../../base/statistics.ts";
import { takeTurns } from "../../bench/measure/turns.ts";
import { openModel } from "../../model/model.ts";
import { ragged } from "../../text/batches.ts";
import type { Contender } from "./plan.ts";
import type { Timed } from "./results.ts";

/** Sequences of the batch that stands for many. */
const BATCH = 32;
const LEAST = 12;
const MOST = 400;

export interface TimeOptions {
  /** Seconds for all of them. */
  seconds: number;
  threads: number;
  onProgress?(done: number): void;
}

/**
 * Seconds a token of each contender's model, from ids to final states: one sequence at a time, and 32 of them. They take turns, so that what
 * else runs disturbs all alike; a median counts.
 * @param sequences of held-out text, which is what decides the paths through trees: [32][length]
 */
export async function timeAll(
  contenders: readonly (Contender & { model: string })[],
  sequences: readonly ArrayLike<number>[],
  { seconds, threads, onProgress = () => {} }: TimeOptions,
): Promise<Map<string, Timed>> {
  const opened: Disposable[] = [];
  try {
    const entries: {
      name: string;
      context: NativeContext;
      batch: Batch;
      many: boolean;
      samples: number[];
    }[] = [];
    for (const { name, model: path } of contenders) {
      const model = await openModel(path);
      opened.push(model);
      const context = new NativeContext(model.native, { threads });
      opened.push(context);
      for (const many of [false, true])
        entries.push({
          name,
          context,
          batch: ragged(sequences.slice(0, many ? BATCH : 1).map((ids) => ({ ids }))),
          many,
          samples: [],
        });
    }
    await takeTurns(
      entries,
      async ({ context, batch, samples }, round) => {
        await context.encode(batch); // finds the caches filled by another model
        const before = performance.now();
        await context.encode(batch);
        if (round > 0) samples.push((performance.now() - before) / 1000 / batch.ids.length);
      },
      { seconds, least: LEAST, most: MOST },
      onProgress,
    );
    const timeOf = (name: string, many: boolean) =>
      median(entries.find((entry) => entry.name === name && entry.many === many)!.samples);
    return new Map(
      contenders.map(({ name }) => [name, { alone: timeOf(name, false), batched: timeOf(name, true) }]),
    );
  } finally {
    for (const one of opened.reverse()) one[Symbol.dispose]();
  }
}
