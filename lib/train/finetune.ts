/** From a pretrained model and examples to a classifier: what `uffb finetune` does and, for its tasks, `uffb glue`. */
import { cpuCount } from "../../ffi/engine.ts";
import type { NativeTrainer } from "../../ffi/train.ts";
import { UsageError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import type { Kind } from "../data/own/labels.ts";
import type { MetricName } from "../data/tasks.ts";
import { type Checkpoint, openCheckpoint } from "../files/checkpoint.ts";
import type { Model } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import type { Examples } from "./batches.ts";
import { encodeTexts, type Texts } from "./encode.ts";
import { freeze, initialiseHead } from "./head.ts";
import { beginRun, checkOutput, type Keeper } from "./keep.ts";
import { labelledParts } from "./labelled.ts";
import type { StepReport } from "./loop.ts";
import { type Outline, outline } from "./outline.ts";
import { checkRecipe, type Recipe, settingsOf } from "./recipe.ts";
import { type EpochRecord, jsonLines, type LogRecord } from "./records.ts";
import { runEpochs } from "./run.ts";
import { saveClassifier } from "./save.ts";
import { Scorer } from "./scorer.ts";
import { trainedModel } from "./trained.ts";
import type { Judge, Validation } from "./validate.ts";

/** What is to be learnt. */
export interface Job {
  kind: Kind;
  /** Names of the classes; [] for scores. */
  labels: readonly string[];
  train: Texts;
  valid?: Texts | undefined;
  metrics: readonly MetricName[];
  /** What epochs are judged by. */
  judge: Judge;
  /** What the data are: a run goes on only with the same. */
  data: JsonObject;
}

export interface FinetuneOptions {
  /** A checkpoint; the built-in model when absent. */
  model?: string | undefined;
  recipe: Recipe;
  /** Folder for the result; nothing is written when absent. */
  output?: string | undefined;
  /** Go on with the run that was stopped there. */
  resume?: boolean | undefined;
  threads?: number | undefined;
  /** Ends the step, writes a checkpoint, and throws CancelledError. */
  signal?: AbortSignal | undefined;
  /** Other files of the result, by name, written from what came of the run. */
  describe?(result: Outcome): Record<string, string>;
  onStart?(start: Start): void;
  onStep?(report: StepReport): void;
  onEpoch?(record: EpochRecord): void;
  /** Of the encoder, where it runs on its own: over examples to validate on, or for a head alone. */
  onEncode?(what: string, done: number, total: number): void;
  onWarning?(text: string): void;
}

/** What is known before the first step. */
export interface Start extends Outline {
  /** The pretrained model. */
  source: string;
  /** Whether its head, or a layer of it, is new. */
  newHead: boolean;
  recipe: Recipe;
  isa: string;
  threads: number;
  /** Steps done before, of a run that goes on. */
  done: number;
}

/** What came of a run. */
export interface Outcome {
  start: Start;
  job: Job;
  records: readonly LogRecord[];
  epochs: readonly EpochRecord[];
  /** The epoch whose weights the result has. */
  epoch: number;
  /** The result on the examples to validate on; absent without any. */
  final?: Validation | undefined;
  /** Of the whole run, interruptions left out. */
  seconds: number;
}

export interface Finetuned extends Outcome {
  /** The result, to run at once. Dispose of it. */
  model: Model;
}

/**
 * Trains a classifier. @throws UffbError for what cannot be trained or written, before the first step as far as that can be known;
 * CancelledError after a checkpoint, when `signal` says so
 */
export async function finetune(job: Job, options: FinetuneOptions): Promise<Finetuned> {
  const { output, resume = false } = options;
  if (output !== undefined) checkOutput(output, resume);
  const checkpoint =
    options.model === undefined
      ? (await import("../files/builtin.ts")).openBuiltin()
      : openCheckpoint(options.model);
  const {
    config: outline,
    trainer,
    fresh,
  } = openTrainable(checkpoint, {
    task: job.kind,
    labels: job.labels,
  });
  const config = { ...outline, texts: job.train.texts.some((texts) => texts.length > 1) ? 2 : 1 } as const;
  const model = trainedModel(trainer, config, checkpoint, output ?? checkpoint.source);
  try {
    const recipe = settle(job, options.recipe, model, options);
    initialiseHead(trainer, fresh, recipe.seed);
    const subject = { checkpoint, model, trainer, newHead: fresh.length > 0 };
    return { ...(await trainModel(job, { ...options, recipe }, subject)), model };
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

/** What is trained. */
interface Subject {
  checkpoint: Checkpoint;
  /** The trainer's weights as they are. */
  model: Model;
  trainer: NativeTrainer;
  newHead: boolean;
}

/** The recipe as the data and the model allow. */
function settle(
  { train, kind }: Job,
  recipe: Recipe,
  { config }: Model,
  { onWarning }: FinetuneOptions,
): Recipe {
  checkRecipe(recipe, config.arch.layers);
  if (recipe.classWeights !== "none" && kind === "regression")
    throw new UsageError("scores have no classes to weigh; leave --class-weights out");
  if (recipe.labelSmoothing > 0 && kind !== "classification")
    throw new UsageError("only classes can be smoothed; leave --label-smoothing out");
  const settled = { ...recipe, maxLength: Math.min(recipe.maxLength, config.arch.maxLength) };
  const count = train.targets.length;
  if (count < recipe.batch) {
    settled.batch = count;
    onWarning?.(`there are only ${count} examples to train on, so that each step takes all of them`);
  }
  return settled;
}

async function trainModel(job: Job, options: FinetuneOptions, subject: Subject): Promise<Outcome> {
  const { recipe, output, signal, onEncode } = options;
  const { model, trainer } = subject;
  const { kind, metrics } = job;
  const { headOnly } = recipe;
  const train = encodeTexts(model, job.train, recipe.maxLength);
  const valid = job.valid && encodeTexts(model, job.valid, recipe.maxLength);
  const { keeper, start } = await begin(job, options, subject, train);
  using _ = keeper;
  const { progress, log } = keeper;

  const scorer = new Scorer(model, trainer, { kind, metrics, threads: start.threads, headOnly, onEncode });
  const vectors = headOnly ? await scorer.vectors("features", train) : undefined;
  const { epoch, final } = await runEpochs({
    trainer,
    recipe,
    keeper,
    count: train.inputs.length,
    parts: labelledParts({ trainer, recipe, kind, examples: train, vectors }),
    validate: valid && (await scorer.over(valid, job.valid?.groups)),
    judge: job.judge,
    signal,
    onEpoch: (record) => options.onEpoch?.(record),
    onStep: (report) => options.onStep?.(report),
  });
  const outcome: Outcome = {
    start,
    job,
    records: log.records,
    epochs: progress.epochs,
    epoch,
    final,
    seconds: progress.seconds,
  };
  if (output !== undefined) {
    const others = { ...options.describe?.(outcome), "training.jsonl": jsonLines(log.records) };
    await saveClassifier(output, trainer, model.config, subject.checkpoint, others);
    keeper.remove();
  }
  return outcome;
}

/** Makes the trainer ready and takes the run up where it is, after what there is to know of it before the first step. */
async function begin(
  job: Job,
  { recipe, output, resume = false, threads, onStart, onWarning = () => {} }: FinetuneOptions,
  { checkpoint, trainer, newHead }: Subject,
  train: Examples & { cut: number },
): Promise<{ keeper: Keeper; start: Start }> {
  freeze(trainer, recipe);
  trainer.multiply(recipe.compute);
  const found = outline(trainer, train, recipe, threads || cpuCount());
  trainer.ready({ threads });
  const { source } = checkpoint;
  const settings = {
    model: source,
    labels: job.labels,
    kind: job.kind,
    ...settingsOf(recipe),
    data: job.data,
  };
  return beginRun(trainer, output, settings, { resume, warn: onWarning }, (begun) => {
    const start = { ...found, source, newHead, recipe, ...begun };
    onStart?.(start);
    return start;
  });
}
