/** The course of fine-tuning and distillation: epochs over examples, each scored where there is something to score on. */
import type { NativeTrainer } from "../../ffi/train.ts";
import { Plan } from "./batches.ts";
import type { Clock } from "./clock.ts";
import type { RunLog } from "./log.ts";
import type { Course, Step } from "./loop.ts";
import type { Recipe } from "./recipe.ts";
import type { EpochRecord, StepRecord } from "./records.ts";
import { learningRate } from "./schedule.ts";
import type { Progress } from "./state.ts";
import { treeRecords } from "./trees.ts";
import { isBetter, type Judge, type Judged } from "./validate.ts";

export interface EpochsOptions {
  trainer: NativeTrainer;
  recipe: Recipe;
  /** Examples in all. */
  count: number;
  /** The batches of step `step`, from 0, by the numbers of its examples. */
  parts(members: Uint32Array, step: number): Step["parts"];
  progress: Progress;
  log: RunLog;
  /** Scores the model as it is; absent without examples to validate on. */
  validate?: (() => Promise<Judged>) | undefined;
  judge: Judge;
  /** Keeps the weights as they are now as the best so far. */
  keepBest?: (() => Promise<void>) | undefined;
  onEpoch(record: EpochRecord): void;
}

export class Epochs implements Course {
  readonly plan: Plan;
  readonly #options: EpochsOptions;

  constructor(options: EpochsOptions) {
    const { count, recipe } = options;
    this.#options = options;
    this.plan = new Plan(count, recipe.batch, recipe.epochs, recipe.seed);
  }

  get steps(): number {
    return this.plan.steps;
  }

  share(): number {
    return this.#options.progress.step / this.plan.steps;
  }

  next(): Step | undefined {
    const { recipe, progress, parts } = this.#options;
    const { step } = progress;
    const { steps, perEpoch } = this.plan;
    if (step >= steps || progress.stopped) return undefined;
    const epoch = Math.floor(step / perEpoch) + 1;
    return {
      lr: learningRate({ shape: recipe.schedule, peak: recipe.lr, warmup: recipe.warmup }, step, steps),
      within: `epoch ${epoch}, batch ${(step % perEpoch) + 1}`,
      parts: parts(this.plan.members(step), step),
      about: { epoch },
    };
  }

  async after(record: StepRecord, clock: Clock): Promise<void> {
    this.#options.progress.loss += record.loss;
    if (record.step % this.plan.perEpoch === 0) await this.#endEpoch(record.epoch, clock);
  }

  get remedy(): string {
    const { lr } = this.#options.recipe;
    return `look at ${lr > 1e-3 ? "--lr, which is large, and " : ""}these rows, lower --lr (${lr}), or set --clip 1`;
  }

  async #endEpoch(epoch: number, clock: Clock): Promise<void> {
    const { trainer, recipe, progress, log, validate, judge, keepBest, onEpoch } = this.#options;
    const trees = recipe.headOnly ? undefined : treeRecords(trainer);
    const found = await validate?.();
    const champion = progress.epochs.findLast(({ best: was }) => was);
    const best = found !== undefined && isBetter(found, champion && asJudged(champion), judge);
    const record: EpochRecord = {
      event: "epoch",
      epoch,
      step: progress.step,
      train_loss: progress.loss / this.plan.perEpoch,
      ...(found && { valid_loss: found.loss, scores: found.scores, best }),
      ...(trees && trees.length > 0 && { trees }),
      seconds: clock.seconds(),
    };
    progress.loss = 0;
    progress.epochs.push(record);
    log.add(record);
    onEpoch(record);
    if (best) await keepBest?.();
    trainer.clearVisits();
    const last = progress.epochs.findLastIndex(({ best: was }) => was);
    if (recipe.patience > 0 && found && epoch - 1 - last >= recipe.patience && epoch < recipe.epochs) {
      progress.stopped = true;
      log.add({ event: "stopped", step: progress.step, epoch });
    }
  }
}

/** An epoch's scores again. */
function asJudged({ valid_loss, scores }: EpochRecord): Judged {
  return { loss: valid_loss ?? Number.NaN, scores: scores ?? {} };
}
