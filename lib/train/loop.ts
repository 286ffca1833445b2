/** The loop of a run: steps, epochs, checkpoints. */
import { UFFB_FFN_FFF, UFFB_HEAD_CLASS } from "../../ffi/bindings.ts";
import { CancelledError } from "../../ffi/status.ts";
import type { NativeTrainer, StepOptions } from "../../ffi/train.ts";
import { UffbError } from "../base/errors.ts";
import type { Kind } from "../data/own/labels.ts";
import { leafUsage } from "../eval/inspect/paths.ts";
import { assemble, balancedWeights, type Examples, LOSSES, Plan } from "./batches.ts";
import type { RunLog } from "./log.ts";
import type { Recipe } from "./recipe.ts";
import type { EpochRecord, StepRecord, TreeRecord } from "./records.ts";
import { learningRate } from "./schedule.ts";
import { pooled } from "./scorer.ts";
import type { Progress } from "./state.ts";
import { isBetter, type Judge, type Judged, type Validation } from "./validate.ts";

/** What the loop reports as it runs. */
export interface StepReport extends StepRecord {
  steps: number;
  epochs: number;
  /** Of the steps of the last seconds. */
  tokensPerSecond: number;
  secondsLeft: number;
}

export interface LoopOptions {
  trainer: NativeTrainer;
  recipe: Recipe;
  kind: Kind;
  examples: Examples;
  /** [examples, hidden]: what the encoder gives, when only the head is trained. */
  vectors?: Float32Array | undefined;
  /** Where the run is; changed as it goes on. */
  progress: Progress;
  log: RunLog;
  /** Scores the model as it is; absent without examples to validate on. */
  validate?: (() => Promise<Validation>) | undefined;
  judge: Judge;
  /** Keeps the weights as they are now as the best so far. */
  keepBest?: (() => Promise<void>) | undefined;
  /** Writes a checkpoint. */
  checkpoint?: (() => Promise<void>) | undefined;
  /** A run that is asked to stop ends its step, writes a checkpoint, and throws CancelledError. */
  signal?: AbortSignal | undefined;
  onStep(report: StepReport): void;
  onEpoch(record: EpochRecord): void;
}

/** Shortest time between two checkpoints, and how many times the time that one takes to write: some hundredths of the run. */
const CHECKPOINT_MS = 30_000;
const CHECKPOINT_SHARE = 30;
/** What the rate shown is a mean of. */
const WINDOW_MS = 5000;
/** Examples of a step whose places an error names. */
const NAMED = 8;

/** Runs what is left of a run. @throws UffbError when a loss or gradient is not a number; CancelledError when it was asked to stop */
export async function runSteps(options: LoopOptions): Promise<void> {
  const { trainer, recipe, progress, log, examples, checkpoint, signal } = options;
  const plan = new Plan(examples.inputs.length, recipe.batch, recipe.epochs, recipe.seed);
  const classWeights =
    recipe.classWeights === "balanced"
      ? balancedWeights(examples.targets, options.kind, trainer.arch.labels)
      : undefined;
  const clock = new Clock(progress.seconds);
  const save = async () => {
    if (!checkpoint) return;
    const before = performance.now();
    progress.seconds = clock.seconds();
    await checkpoint();
    saved = performance.now();
    interval = Math.max(CHECKPOINT_MS, CHECKPOINT_SHARE * (saved - before));
  };
  let saved = performance.now();
  let interval = CHECKPOINT_MS;
  trainer.clearVisits();
  while (progress.step < plan.steps && !progress.stopped) {
    const { step } = progress;
    const epoch = Math.floor(step / plan.perEpoch) + 1;
    const members = plan.members(step);
    const lr = learningRate(
      { shape: recipe.schedule, peak: recipe.lr, warmup: recipe.warmup },
      step,
      plan.steps,
    );
    const { batch, targets, final } = inputOf(options, members);
    const losses = new Float32Array(members.length);
    const before = performance.now();
    const output = await trainer.step(batch, { targets, classWeights }, settingsOf(options, step), {
      losses,
      final,
    });
    const where = `step ${step + 1} of ${plan.steps} (epoch ${epoch}, batch ${(step % plan.perEpoch) + 1})`;
    if (output.notFinite > 0) throw brokenLoss(where, losses, members, options);
    const update = await trainer.update({ ...adamwOf(recipe), lr });
    if (update.finite === 0) throw brokenGradient(where, members, options);
    progress.step++;
    const loss = output.loss / output.weight;
    progress.loss += loss;
    const tokens = [...members].reduce((sum, i) => sum + examples.inputs[i]!.ids.length, 0);
    const record: StepRecord = {
      event: "step",
      step: progress.step,
      epoch,
      loss,
      lr,
      grad_norm: update.norm,
      tokens,
      seconds: (performance.now() - before) / 1000,
    };
    log.add(record);
    clock.add(tokens);
    options.onStep({
      ...record,
      steps: plan.steps,
      epochs: recipe.epochs,
      ...clock.rates(plan.steps - progress.step),
    });
    if (progress.step % plan.perEpoch === 0) await endEpoch(options, plan, epoch, clock);
    if (signal?.aborted) {
      await save();
      log.add({ event: "interrupted", step: progress.step });
      const way = checkpoint ? "; the same command with --resume goes on" : "";
      throw new CancelledError(`stopped after step ${progress.step} of ${plan.steps}${way}`);
    }
    if (performance.now() - saved > interval) await save();
  }
  progress.seconds = clock.seconds();
}

function inputOf({ examples, vectors, kind, trainer }: LoopOptions, members: Uint32Array) {
  const { batch, targets } = assemble(examples, members, kind);
  if (vectors === undefined) return { batch, targets, final: undefined };
  const { hidden } = trainer.arch;
  const rows = new Float32Array(members.length * hidden);
  for (const [row, i] of members.entries())
    rows.set(vectors.subarray(i * hidden, (i + 1) * hidden), row * hidden);
  return { targets, ...pooled(rows, hidden) };
}

function settingsOf({ recipe, kind, vectors }: LoopOptions, step: number): StepOptions {
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

function adamwOf({ beta1, beta2, eps, weightDecay, clip }: Recipe) {
  return { beta1, beta2, eps, weightDecay, clip };
}

async function endEpoch(options: LoopOptions, plan: Plan, epoch: number, clock: Clock): Promise<void> {
  const { trainer, recipe, progress, log, validate, judge, keepBest, vectors } = options;
  const trees = vectors === undefined ? treeRecords(trainer) : undefined;
  const found = await validate?.();
  const champion = progress.epochs.findLast(({ best: was }) => was);
  const best = found !== undefined && isBetter(found, champion && asValidation(champion), judge);
  const record: EpochRecord = {
    event: "epoch",
    epoch,
    step: progress.step,
    train_loss: progress.loss / plan.perEpoch,
    ...(found && { valid_loss: found.loss, scores: found.scores, best }),
    ...(trees && trees.length > 0 && { trees }),
    seconds: clock.seconds(),
  };
  progress.loss = 0;
  progress.epochs.push(record);
  log.add(record);
  options.onEpoch(record);
  if (best) await keepBest?.();
  trainer.clearVisits();
  const last = progress.epochs.findLastIndex(({ best: was }) => was);
  if (recipe.patience > 0 && found && epoch - 1 - last >= recipe.patience && epoch < recipe.epochs) {
    progress.stopped = true;
    log.add({ event: "stopped", step: progress.step, epoch });
  }
}

/** An epoch's scores again. */
function asValidation({ valid_loss, scores }: EpochRecord): Judged {
  return { loss: valid_loss ?? Number.NaN, scores: scores ?? {} };
}

function treeRecords(trainer: NativeTrainer): TreeRecord[] {
  const { feedforward, layers, trees } = trainer.arch;
  if (feedforward !== UFFB_FFN_FFF) return [];
  return Array.from({ length: layers }, (_, layer) => {
    const visits = Float64Array.from(trainer.visits(layer), Number);
    const nodes = visits.length / trees;
    const { leaves, deadLeaves, entropy } = leafUsage(
      Array.from({ length: trees }, (_, tree) => visits.subarray(tree * nodes, (tree + 1) * nodes)),
    );
    return { layer, leaves, reached: leaves - deadLeaves, dead: deadLeaves, entropy };
  });
}

function brokenLoss(where: string, losses: Float32Array, members: Uint32Array, options: LoopOptions) {
  const broken = [...members].filter((_, row) => !Number.isFinite(losses[row]));
  return broken.length === 0
    ? brokenGradient(where, members, options)
    : new UffbError(`${where}: the loss of ${places(broken, options)} is not a number; ${remedy(options)}`);
}

function brokenGradient(where: string, members: Uint32Array, options: LoopOptions): UffbError {
  const of = places([...members], options);
  return new UffbError(`${where}: the gradient of ${of} is not a number; ${remedy(options)}`);
}

function places(members: readonly number[], { examples }: LoopOptions): string {
  const named = members.slice(0, NAMED).map((i) => examples.place(i));
  return named.join(", ") + (members.length > NAMED ? ` and ${members.length - NAMED} more` : "");
}

function remedy({ recipe }: LoopOptions): string {
  return `look at ${recipe.lr > 1e-3 ? "--lr, which is large, and " : ""}these rows, lower --lr (${recipe.lr}), or set --clip 1`;
}

/** Counts tokens and time. */
class Clock {
  readonly #start = performance.now();
  #marks: { at: number; tokens: number; steps: number }[] = [{ at: this.#start, tokens: 0, steps: 0 }];
  #tokens = 0;
  #steps = 0;

  /** `earlier`: seconds that the run took before. */
  constructor(readonly earlier: number) {}

  add(tokens: number): void {
    const now = performance.now();
    this.#tokens += tokens;
    this.#steps++;
    this.#marks.push({ at: now, tokens: this.#tokens, steps: this.#steps });
    while (this.#marks.length > 2 && now - this.#marks[0]!.at > WINDOW_MS) this.#marks.shift();
  }

  seconds(): number {
    return this.earlier + (performance.now() - this.#start) / 1000;
  }

  rates(left: number): { tokensPerSecond: number; secondsLeft: number } {
    const [first, last] = [this.#marks[0]!, this.#marks.at(-1)!];
    const seconds = (last.at - first.at) / 1000;
    return {
      tokensPerSecond: (last.tokens - first.tokens) / seconds,
      // Of the whole run so far: epochs end in validation, which takes time, too.
      secondsLeft: (left * (performance.now() - this.#start)) / 1000 / this.#steps,
    };
  }
}
