/** The loop of every run: steps, updates, the log and checkpoints. What a step is made of, and what follows it, is the course's. */
import type { Adamw } from "../../ffi/bindings.ts";
import type { Batch } from "../../ffi/context.ts";
import { CancelledError } from "../../ffi/status.ts";
import type { NativeTrainer, StepOptions, Targets } from "../../ffi/train.ts";
import { UffbError } from "../base/errors.ts";
import { Clock } from "./clock.ts";
import type { RunLog } from "./log.ts";
import type { StepRecord } from "./records.ts";
import type { Progress } from "./state.ts";

/** A batch. Several, one after the other, can make one update. */
export interface Part {
  batch: Batch;
  targets: Targets;
  options: StepOptions;
  /** Final states [tokens, hidden] in the encoder's place; see StepOutputs. */
  final?: Float32Array | undefined;
  /** States, or attention, that the model's own are pulled towards; see NativeTrainer.guide. */
  guides?: readonly Guide[] | undefined;
  tokens: number;
  /** What messages call these of its targets: `bad` holds their numbers, or is absent for all of them. */
  places(bad?: readonly number[]): string;
}

/** A teacher's states at one place, or its attention. */
export interface Guide {
  /** UFFB_TAP_EMBEDDING, UFFB_TAP_LAYER or UFFB_TAP_FINAL, or UFFB_TAP_QK */
  kind: number;
  layer: number;
  /** Of the mean squared difference, or the mean divergence, in what is minimised. */
  weight: number;
  /** [tokens, width] of the batch */
  states: Float32Array;
  width: number;
}

/** One update. */
export interface Step {
  lr: number;
  /** Where the step is, for messages: "epoch 1, batch 3". */
  within: string;
  /** The batches, made one at a time. Their options say how the gradients add up. */
  parts: Iterable<Part> | AsyncIterable<Part>;
  /** What the log says of it besides. */
  about: Pick<StepRecord, "epoch"> & Partial<StepRecord>;
}

/** What is trained on what, and how it goes on. */
export interface Course {
  /** In all; undefined where that depends on how fast they are. */
  readonly steps: number | undefined;
  /** The step that comes next, by where the run is; undefined when it is over. */
  next(seconds: number): Step | undefined;
  /** Share of the run that is done, 0 to 1. */
  share(seconds: number): number;
  /** After a step: the end of an epoch, say, or a score. */
  after(record: StepRecord, clock: Clock): Promise<void>;
  /** What to do about a loss or gradient that is not a number. */
  remedy: string;
}

export interface LoopOptions {
  trainer: NativeTrainer;
  adamw: Omit<Adamw, "lr">;
  /** How far an update moves biases of trees for their balance; 0 or absent: not at all. */
  balance?: number | undefined;
  course: Course;
  /** Where the run is; changed as it goes on. */
  progress: Progress;
  log: RunLog;
  /** Writes a checkpoint. */
  checkpoint?: (() => Promise<void>) | undefined;
  /** A run that is asked to stop ends its step or gives it up between two batches, writes a checkpoint, and throws CancelledError. */
  signal?: AbortSignal | undefined;
  onStep(report: StepReport): void;
}

/** What the loop reports as it runs. */
export interface StepReport extends StepRecord {
  /** Of the run that is done, 0 to 1. */
  share: number;
  /** Of the steps of the last seconds. */
  tokensPerSecond: number;
  secondsLeft: number;
}

/** Shortest time between two checkpoints, and how many times the time that one takes to write: some hundredths of the run. */
const CHECKPOINT_MS = 30_000;
const CHECKPOINT_SHARE = 30;

/** Runs what is left of a run. @throws UffbError when a loss or gradient is not a number; CancelledError when it was asked to stop */
export async function runSteps(options: LoopOptions): Promise<void> {
  const { trainer, course, progress, log, checkpoint, signal } = options;
  const clock = new Clock(progress.seconds, course.share(progress.seconds));
  const save = async () => {
    if (!checkpoint) return;
    const before = performance.now();
    progress.seconds = clock.seconds();
    await checkpoint();
    saved = performance.now();
    interval = Math.max(CHECKPOINT_MS, CHECKPOINT_SHARE * (saved - before));
  };
  const named = (step: number) => `step ${step}${course.steps === undefined ? "" : ` of ${course.steps}`}`;
  const stop = async (): Promise<never> => {
    await save();
    log.add({ event: "interrupted", step: progress.step });
    const way = checkpoint ? "; the same command with --resume goes on" : "";
    throw new CancelledError(`stopped after ${named(progress.step)}${way}`);
  };
  let saved = performance.now();
  let interval = CHECKPOINT_MS;
  trainer.clearVisits();
  for (;;) {
    const step = course.next(clock.seconds());
    if (step === undefined) break;
    const before = performance.now();
    const done = await runStep(options, step, `${named(progress.step + 1)} (${step.within})`);
    if (done === undefined) return stop();
    progress.step++;
    const record: StepRecord = {
      event: "step",
      step: progress.step,
      ...step.about,
      ...done,
      lr: step.lr,
      seconds: (performance.now() - before) / 1000,
    };
    log.add(record);
    clock.add(record.tokens);
    await course.after(record, clock);
    const share = course.share(clock.seconds());
    options.onStep({ ...record, share, ...clock.rates(share) });
    if (signal?.aborted) return stop();
    if (performance.now() - saved > interval) await save();
  }
  progress.seconds = clock.seconds();
}

type Done = Pick<StepRecord, "loss" | "guided" | "grad_norm" | "tokens" | "accuracy">;

/** One update, or undefined when it was given up: a step of many batches can take minutes, and is made again when the run goes on. */
async function runStep(
  { trainer, adamw, balance, course, signal }: LoopOptions,
  { lr, parts }: Step,
  where: string,
): Promise<Done | undefined> {
  const sum = { loss: 0, weight: 0, tokens: 0, correct: 0, guided: 0 };
  let last: Part | undefined;
  for await (const part of parts) {
    if (signal?.aborted && last !== undefined) {
      trainer.zeroGradients();
      return undefined;
    }
    const { batch, targets, options, final, guides = [] } = part;
    const count = targets.positions?.length ?? batch.offsets.length - 1;
    const losses = new Float32Array(count);
    for (const { kind, layer, weight, states, width } of guides)
      trainer.guide(kind, layer, weight, states, width);
    const output = await trainer.step(batch, targets, options, { losses, final });
    if (output.notFinite > 0) {
      const bad = [...losses.keys()].filter((i) => !Number.isFinite(losses[i]));
      const what = bad.length > 0 ? `loss of ${part.places(bad)}` : `gradient of ${part.places()}`;
      throw new UffbError(`${where}: the ${what} is not a number; ${course.remedy}`);
    }
    sum.loss += output.loss;
    sum.weight += output.weight;
    sum.correct += output.correct;
    sum.guided += output.guided;
    sum.tokens += part.tokens;
    last = part;
  }
  const { norm, finite } = await trainer.update({ ...adamw, lr });
  if (finite === 0)
    throw new UffbError(`${where}: the gradient of ${last!.places()} is not a number; ${course.remedy}`);
  if (balance) trainer.balance(balance);
  return {
    loss: sum.loss / sum.weight,
    ...(last?.guides && { guided: sum.guided }),
    grad_norm: norm,
    tokens: sum.tokens,
    ...(last?.targets.positions && { accuracy: sum.correct / sum.weight }),
  };
}
