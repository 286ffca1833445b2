/** The course of pretraining: updates of growing batches until the budget is used up, scored now and then on text that was held out. */
import type { NativeTrainer } from "../../../ffi/train.ts";
import type { Clock } from "../clock.ts";
import type { RunLog } from "../log.ts";
import type { Course, Part, Step } from "../loop.ts";
import type { ScoreRecord, StepRecord } from "../records.ts";
import { learningRate } from "../schedule.ts";
import type { Progress } from "../state.ts";
import { treeRecords } from "../trees.ts";
import { POSITION_FACTOR } from "./initial.ts";
import { examplesOf, type MaskOptions, predictions } from "./mask.ts";
import {
  batchAt,
  branchNoiseAt,
  extentOf,
  objectiveAt,
  type Position,
  type PretrainRecipe,
  positionFactorAt,
  shareOf,
  usedOf,
} from "./recipe.ts";
import { scoreHeldOut } from "./score.ts";
import type { Sequences } from "./sequences.ts";

export interface BudgetedOptions {
  trainer: NativeTrainer;
  recipe: PretrainRecipe;
  sequences: Sequences;
  /** The mask token's id, and how many ids there are. */
  mask: number;
  vocab: number;
  progress: Progress;
  log: RunLog;
  onScore(record: ScoreRecord): void;
}

export class Budgeted implements Course {
  readonly steps: number | undefined;
  readonly #options: BudgetedOptions;
  readonly #masking: MaskOptions;
  /** Of the step that is under way: the share used up before it, and its sequences. */
  #before = 0;
  #size = 0;

  constructor(options: BudgetedOptions) {
    const { recipe, mask, vocab } = options;
    this.#options = options;
    this.steps = extentOf(recipe)?.steps;
    this.#masking = { mask, vocab, share: recipe.masked, seed: recipe.seed };
  }

  share(seconds: number): number {
    return shareOf(this.#options.recipe, this.#position(seconds));
  }

  next(seconds: number): Step | undefined {
    const { trainer, recipe, progress, sequences } = this.#options;
    const { schedule: shape, lr: peak, warmup, budget } = recipe;
    const used = usedOf(recipe, this.#position(seconds));
    if (used >= budget.amount) return undefined;
    const share = this.share(seconds);
    this.#before = share;
    this.#size = batchAt(recipe, share);
    if (recipe.positionGrowth !== 1)
      trainer.set(POSITION_FACTOR, Float32Array.of(positionFactorAt(recipe, share)));
    const objective = objectiveAt(recipe, share);
    const epoch = Math.floor(progress.sequences / sequences.count) + 1;
    return {
      lr: learningRate({ shape, peak, warmup }, used, budget.amount),
      within: `sequences ${progress.sequences + 1} to ${progress.sequences + this.#size}`,
      parts: this.#parts(this.#size),
      about: { epoch, objective },
    };
  }

  async after(_: StepRecord, clock: Clock): Promise<void> {
    const { recipe, progress } = this.#options;
    progress.sequences += this.#size;
    const share = this.share(clock.seconds());
    if (Math.floor(share * recipe.scores) > Math.floor(this.#before * recipe.scores) || share === 1)
      await this.#score(clock);
  }

  get remedy(): string {
    return `lower --lr (${this.#options.recipe.lr}) or --clip (${this.#options.recipe.clip})`;
  }

  #position(seconds: number): Position {
    const { step, sequences } = this.#options.progress;
    return { steps: step, sequences, seconds };
  }

  /** The micro-batches of an update, whose gradients add up to that of the mean over all of its predictions. */
  *#parts(size: number): Generator<Part> {
    const { recipe, progress, sequences } = this.#options;
    const objective = objectiveAt(recipe, this.#before);
    const scale = 1 / (size * predictions(objective, sequences.length, recipe.masked));
    const branchNoise = branchNoiseAt(recipe, this.#before);
    for (let at = 0; at < size; at += recipe.microbatch) {
      const count = Math.min(recipe.microbatch, size - at);
      const first = progress.sequences + at;
      const chosen = Array.from({ length: count }, (_, i) => sequences.at(first + i));
      const { batch, targets, options } = examplesOf(objective, chosen, first, this.#masking);
      yield {
        batch,
        targets,
        options: { ...options, scale, branchNoise, seed: recipe.seed, counter: first },
        tokens: count * sequences.length,
        places: () => `sequences ${first + 1} to ${first + count}`,
      };
    }
  }

  async #score(clock: Clock): Promise<void> {
    const { trainer, recipe, sequences, progress, log, onScore, mask, vocab } = this.#options;
    const trees = treeRecords(trainer);
    const objective = objectiveAt(recipe, this.#before);
    const found = await scoreHeldOut(trainer, sequences, {
      objective,
      masked: recipe.scoreMasked,
      mask,
      vocab,
      microbatch: recipe.microbatch,
    });
    trainer.clearVisits();
    if (found === undefined) return;
    const record: ScoreRecord = {
      event: "score",
      step: progress.step,
      tokens: progress.sequences * sequences.length,
      objective,
      ...found,
      ...(trees.length > 0 && { trees }),
      seconds: clock.seconds(),
    };
    log.add(record);
    onScore(record);
  }
}
