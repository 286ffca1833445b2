/** What is known of a run before its first step. */
import type { TrainMemory } from "../../ffi/bindings.ts";
import type { NativeTrainer } from "../../ffi/train.ts";
import type { Examples } from "./batches.ts";
import { peakRate, stepBound } from "./bound.ts";
import type { Recipe } from "./recipe.ts";

export interface Outline {
  parameters: number;
  /** Of them, those that are trained. */
  trained: number;
  examples: number;
  /** Of them, those cut to the most tokens. */
  cut: number;
  steps: number;
  /** Bytes, for the longest batch that can come. */
  memory: TrainMemory;
  /** The least seconds of a mean step by arithmetic, and operations a second that it supposes; absent for a head alone. */
  bound?: { seconds: number; rate: number; tokens: number };
}

/** @param guided what steps are guided by; see uffb_train_size */
export function outline(
  trainer: NativeTrainer,
  examples: Examples & { cut: number },
  recipe: Recipe,
  threads: number,
  guided?: { guided: number; guidedHead: number },
): Outline {
  const lengths = examples.inputs.map(({ ids }) => ids.length).sort((a, b) => b - a);
  const longest = recipe.headOnly ? [1] : lengths.slice(0, recipe.batch);
  const own = trainer.parameters().filter(({ present, constant }) => present && !constant);
  const count = (list: typeof own) => list.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  const memory = trainer.memory({
    sequences: recipe.batch,
    tokens: recipe.headOnly ? recipe.batch : longest.reduce((sum, length) => sum + length, 0),
    longest: longest[0]!,
    targets: recipe.batch,
    threads,
    ...guided,
  });
  return {
    parameters: count(own),
    trained: count(own.filter(({ trainable }) => trainable)),
    examples: lengths.length,
    cut: examples.cut,
    steps: Math.floor(lengths.length / recipe.batch) * recipe.epochs,
    memory,
    ...(!recipe.headOnly && { bound: bound(trainer, lengths, recipe, threads) }),
  };
}

function bound(trainer: NativeTrainer, lengths: readonly number[], recipe: Recipe, threads: number) {
  const rate = peakRate(trainer.compute, threads);
  const share = recipe.batch / lengths.length;
  return {
    seconds: share * stepBound(trainer.arch, lengths, rate, recipe.freeze),
    rate,
    tokens: share * lengths.reduce((sum, length) => sum + length, 0),
  };
}
