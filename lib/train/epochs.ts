/** The course of fine-tuning: epochs over labelled examples, each scored where there is something to score on. */
import { UFFB_HEAD_CLASS } from "../../ffi/bindings.ts";
import type { NativeTrainer, StepOptions } from "../../ffi/train.ts";
import type { Kind } from "../data/own/labels.ts";
import { assemble, balancedWeights, type Examples, LOSSES, Plan } from "./batches.ts";
import type { Clock } from "./clock.ts";
import type { RunLog } from "./log.ts";
import type { Course, Part, Step } from "./loop.ts";
import type { Recipe } from "./recipe.ts";
import type { EpochRecord, StepRecord } from "./records.ts";
import { learningRate } from "./schedule.ts";
import { pooled } from "./scorer.ts";
import type { Progress } from "./state.ts";
import { treeRecords } from "./trees.ts";
import { isBetter, type Judge, type Judged, type Validation } from "./validate.ts";

export interface EpochsOptions {
  trainer: NativeTrainer;
  recipe: Recipe;
  kind: Kind;
  examples: Examples;
  /** [examples, hidden]: what the encoder gives, when only the head is trained. */
  vectors?: Float32Array | undefined;
  progress: Progress;
  log: RunLog;
  /** Scores the model as it is; absent without examples to validate on. */
  validate?: (() => Promise<Validation>) | undefined;
  judge: Judge;
  /** Keeps the weights as they are now as the best so far. */
  keepBest?: (() => Promise<void>) | undefined;
  onEpoch(record: EpochRecord): void;
}

/** Examples of a step whose places an error names. */
const NAMED = 8;

export class Epochs implements Course {
  readonly plan: Plan;
  readonly #options: EpochsOptions;
  readonly #classWeights: Float32Array | undefined;

  constructor(options: EpochsOptions) {
    const { examples, recipe, kind, trainer } = options;
    this.#options = options;
    this.plan = new Plan(examples.inputs.length, recipe.batch, recipe.epochs, recipe.seed);
    if (recipe.classWeights === "balanced")
      this.#classWeights = balancedWeights(examples.targets, kind, trainer.arch.labels);
  }

  get steps(): number {
    return this.plan.steps;
  }

  share(): number {
    return this.#options.progress.step / this.plan.steps;
  }

  next(): Step | undefined {
    const { recipe, progress } = this.#options;
    const { step } = progress;
    const { steps, perEpoch } = this.plan;
    if (step >= steps || progress.stopped) return undefined;
    const epoch = Math.floor(step / perEpoch) + 1;
    return {
      lr: learningRate({ shape: recipe.schedule, peak: recipe.lr, warmup: recipe.warmup }, step, steps),
      within: `epoch ${epoch}, batch ${(step % perEpoch) + 1}`,
      parts: [this.#part(step)],
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

  #part(step: number): Part {
    const { examples, vectors, kind, trainer } = this.#options;
    const members = this.plan.members(step);
    const { batch, targets } = assemble(examples, members, kind);
    const part = {
      batch,
      targets: { targets, classWeights: this.#classWeights },
      options: this.#settings(step),
      tokens: [...members].reduce((sum, i) => sum + examples.inputs[i]!.ids.length, 0),
      places: (bad?: readonly number[]) => this.#places(bad ? bad.map((row) => members[row]!) : [...members]),
    };
    if (vectors === undefined) return part;
    const { hidden } = trainer.arch;
    const rows = new Float32Array(members.length * hidden);
    for (const [row, i] of members.entries())
      rows.set(vectors.subarray(i * hidden, (i + 1) * hidden), row * hidden);
    return { ...part, ...pooled(rows, hidden) };
  }

  #settings(step: number): StepOptions {
    const { recipe, kind, vectors } = this.#options;
    const { dropout, labelSmoothing, seed } = recipe;
    const encoder = vectors === undefined ? dropout : 0;
    return {
      head: UFFB_HEAD_CLASS,
      loss: LOSSES[kind],
      labelSmoothing,
      embeddingDropout: encoder,
      attentionDropout: encoder,
      blockDropout: encoder,
      headDropout: dropout,
      seed,
      counter: step,
    };
  }

  async #endEpoch(epoch: number, clock: Clock): Promise<void> {
    const { trainer, recipe, progress, log, validate, judge, keepBest, vectors, onEpoch } = this.#options;
    const trees = vectors === undefined ? treeRecords(trainer) : undefined;
    const found = await validate?.();
    const champion = progress.epochs.findLast(({ best: was }) => was);
    const best = found !== undefined && isBetter(found, champion && asValidation(champion), judge);
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

  #places(members: readonly number[]): string {
    const { examples } = this.#options;
    const named = members.slice(0, NAMED).map((i) => examples.place(i));
    return named.join(", ") + (members.length > NAMED ? ` and ${members.length - NAMED} more` : "");
  }
}

/** An epoch's scores again. */
function asValidation({ valid_loss, scores }: EpochRecord): Judged {
  return { loss: valid_loss ?? Number.NaN, scores: scores ?? {} };
}
