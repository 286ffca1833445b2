/** What is known of a run before its first step, and how long it would take. */
import type { TrainMemory } from "../../../ffi/bindings.ts";
import { cpuCount } from "../../../ffi/engine.ts";
import type { NativeTrainer } from "../../../ffi/train.ts";
import { Random } from "../../base/random.ts";
import { type ModelShape, newConfig } from "../../model/crammed-config.ts";
import { forwardFlops, headFlops, peakRate } from "../bound.ts";
import { adamwOf } from "../recipe.ts";
import type { Objective } from "../records.ts";
import { newTrainer } from "./initial.ts";
import { examplesOf, predictions } from "./mask.ts";
import { checkPretrainRecipe, extentOf, type PretrainRecipe } from "./recipe.ts";

export interface PretrainOutline {
  shape: ModelShape;
  recipe: PretrainRecipe;
  parameters: number;
  /** Updates; undefined for a budget in hours. */
  steps: number | undefined;
  /** Bytes, of the largest micro-batch. */
  memory: TrainMemory;
  /** Floating-point operations of training on one token: three forward passes, the decoder included. */
  flopsPerToken: number;
  /** Operations a second that this CPU reaches in a multiplication of matrices. */
  rate: number;
}

export function outline(
  shape: ModelShape,
  recipe: PretrainRecipe,
  trainer: NativeTrainer,
  threads: number,
): PretrainOutline {
  const { length, masked, causal } = recipe;
  const { arch } = trainer;
  const most = Math.min(recipe.microbatch, recipe.batch);
  const own = trainer.parameters().filter(({ present, constant }) => present && !constant);
  const perSequence = (objective: Objective) =>
    forwardFlops(arch, [length]) + headFlops(arch, predictions(objective, length, masked));
  return {
    shape,
    recipe,
    parameters: own.reduce((sum, { rows, cols }) => sum + rows * cols, 0),
    steps: extentOf(recipe)?.steps,
    memory: trainer.memory({
      sequences: most,
      tokens: most * length,
      longest: length,
      targets: most * predictions(causal > 0 ? "causal" : "masked", length, masked),
      threads,
    }),
    flopsPerToken: (3 * (causal * perSequence("causal") + (1 - causal) * perSequence("masked"))) / length,
    rate: peakRate(trainer.compute, threads),
  };
}

export interface Estimate extends PretrainOutline {
  isa: string;
  threads: number;
  /** Sequences of the step that was measured: a micro-batch, with words masked. */
  sequences: number;
  /** Measured: of its forward pass alone, of a token's forward and backward pass, and of an update. */
  secondsForward: number;
  secondsPerToken: number;
  secondsPerUpdate: number;
  /** Of the whole budget. */
  tokens: number;
  seconds: number;
}

/** Seconds of steps that a rate is measured over, at least. */
const MEASURE_SECONDS = 3;

/**
 * Measures micro-batches of random tokens, and computes from them what the whole budget comes to. @throws UffbError for a shape or recipe
 * that cannot be
 */
export async function estimate(
  shape: ModelShape,
  recipe: PretrainRecipe,
  { threads = 0 }: { threads?: number | undefined } = {},
): Promise<Estimate> {
  checkPretrainRecipe(recipe);
  using trainer = newTrainer(newConfig(shape).config, recipe);
  trainer.multiply(recipe.compute);
  const found = outline(shape, recipe, trainer, threads || cpuCount());
  trainer.ready({ threads });
  const { length, masked: share, seed } = recipe;
  const draw = new Random(seed, "estimate");
  const count = Math.min(recipe.microbatch, recipe.batch);
  const sequences = Array.from({ length: count }, () =>
    Uint32Array.from({ length }, () => draw.below(shape.vocab)),
  );
  const { batch, targets, options } = examplesOf("masked", sequences, 0, {
    mask: 0,
    vocab: shape.vocab,
    share,
    seed,
  });
  const step = () => trainer.step(batch, targets, options);
  const update = () => trainer.update({ ...adamwOf(recipe), lr: recipe.lr });
  const forward = () => trainer.step(batch, targets, { ...options, backward: false });
  await step(); // claims memory
  await update();
  const perStep = await secondsOf(step);
  const perUpdate = await secondsOf(update);
  const secondsPerToken = perStep / (count * length);
  const spent = spentBy(recipe, secondsPerToken, perUpdate);
  return {
    ...found,
    isa: trainer.isa,
    threads: trainer.threads,
    sequences: count,
    secondsForward: await secondsOf(forward),
    secondsPerToken,
    secondsPerUpdate: perUpdate,
    ...spent,
  };
}

/** The mean over as many calls as fill the time, two at least. */
async function secondsOf(call: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  let calls = 0;
  while (calls < 2 || performance.now() - start < MEASURE_SECONDS * 1000) {
    await call();
    calls++;
  }
  return (performance.now() - start) / 1000 / calls;
}

/** Tokens and seconds of a budget. Of one in hours the updates are left out: at its batch sizes they are some hundredths. */
function spentBy(recipe: PretrainRecipe, perToken: number, perUpdate: number) {
  const extent = extentOf(recipe);
  const hours = 3600 * recipe.budget.amount;
  if (extent === undefined) return { seconds: hours, tokens: hours / perToken };
  const tokens = extent.sequences * recipe.length;
  return { tokens, seconds: tokens * perToken + extent.steps * perUpdate };
}
