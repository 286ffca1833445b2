/** A run of epochs from its first step, or from where it was stopped, to the weights that its result has. */
import type { NativeTrainer } from "../../ffi/train.ts";
import { Epochs, type EpochsOptions } from "./epochs.ts";
import type { Keeper } from "./keep.ts";
import { runSteps, type StepReport } from "./loop.ts";
import { adamwOf, type Recipe } from "./recipe.ts";
import type { Judged } from "./validate.ts";

export interface EpochRun<Scores extends Judged>
  extends Pick<EpochsOptions, "count" | "parts" | "judge" | "onEpoch"> {
  trainer: NativeTrainer;
  recipe: Recipe;
  keeper: Keeper;
  /** Scores the model as it is; absent without examples to validate on. */
  validate?: (() => Promise<Scores>) | undefined;
  signal?: AbortSignal | undefined;
  onStep(report: StepReport): void;
}

/**
 * Runs what is left of the epochs, and leaves the trainer with the last one's weights, or the best's where the recipe wants these.
 * @returns that epoch's number, and how its weights score
 * @throws what runSteps throws
 */
export async function runEpochs<Scores extends Judged>({
  trainer,
  recipe,
  keeper,
  validate,
  signal,
  onStep,
  ...rest
}: EpochRun<Scores>): Promise<{ epoch: number; final: Scores | undefined }> {
  const { progress, log } = keeper;
  let last: Scores | undefined;
  const score =
    validate &&
    (async () => {
      last = await validate();
      return last;
    });
  const choosesBest = recipe.keep === "best" && validate !== undefined;
  const course = new Epochs({
    trainer,
    recipe,
    progress,
    log,
    validate: score,
    keepBest: choosesBest ? () => keeper.keepBest() : undefined,
    ...rest,
  });
  await runSteps({
    trainer,
    adamw: adamwOf(recipe),
    course,
    progress,
    log,
    checkpoint: keeper.onDisk ? () => keeper.checkpoint() : undefined,
    signal,
    onStep,
  });
  const chosen = choosesBest ? progress.epochs.findLast(({ best }) => best) : progress.epochs.at(-1);
  if (choosesBest && chosen !== progress.epochs.at(-1)) {
    keeper.restoreBest();
    last = undefined; // it is of other weights
  }
  const final = last ?? (await score?.());
  const epoch = chosen?.epoch ?? 0;
  log.add({ event: "end", step: progress.step, epoch, scores: final?.scores });
  return { epoch, final };
}
