/**
 * From text to a new masked language model: what `uffb pretrain` does, and for several models alike, whoever compares them.
 *
 *     const vocabulary = await openTokenizerFiles(path);
 *     const tokens = await tokensOf(paths, vocabulary.tokenizer, vocabulary.texts["tokenizer.json"], folder, { mostTokens: 1 });
 *     const outcome = await pretrain({ shape, vocabulary, tokens }, { recipe, output });
 *
 * `outcome.score` is the model's loss and accuracy on held-out text, `output` a folder that openModel opens.
 */
import { cpuCount } from "../../../ffi/engine.ts";
import type { NativeTrainer } from "../../../ffi/train.ts";
import { UffbError, UsageError } from "../../base/errors.ts";
import { type ModelShape, newConfig } from "../../model/crammed-config.ts";
import { feedforwardName } from "../../model/families/feedforward.ts";
import type { Tokenizer } from "../../text/tokenizer/tokenizer.ts";
import { beginRun, checkOutput, type Keeper } from "../keep.ts";
import { runSteps, type StepReport } from "../loop.ts";
import { adamwOf } from "../recipe.ts";
import { jsonLines, type LogRecord, type ScoreRecord } from "../records.ts";
import { saveModel } from "../save.ts";
import { Budgeted } from "./course.ts";
import { newTrainer } from "./initial.ts";
import { outline, type PretrainOutline } from "./outline.ts";
import { checkPretrainRecipe, type PretrainRecipe, settingsOf } from "./recipe.ts";
import { Sequences } from "./sequences.ts";
import type { CorpusFacts, Tokens } from "./tokens.ts";

/** Most sequences held out, whatever their share: a million tokens at 128. */
const MOST_HELD_OUT = 8192;

/** What is to be learnt, by what. */
export interface PretrainJob {
  /** `vocab` at least the tokenizer's. */
  shape: ModelShape;
  vocabulary: Vocabulary;
  tokens: Tokens;
}

/** See openTokenizerFiles. */
export interface Vocabulary {
  /** For messages. */
  source: string;
  tokenizer: Tokenizer;
  /** The files that the result has of it, by name. */
  texts: Readonly<Record<string, string>>;
}

export interface PretrainOptions {
  recipe: PretrainRecipe;
  /** Folder for the result; nothing is written when absent. */
  output?: string | undefined;
  /** Go on with the run that was stopped there. */
  resume?: boolean | undefined;
  threads?: number | undefined;
  /** Ends the step, or gives it up between two micro-batches, writes a checkpoint, and throws CancelledError. */
  signal?: AbortSignal | undefined;
  /** Other files of the result, by name, written from what came of the run. */
  describe?(outcome: PretrainOutcome): Record<string, string>;
  onStart?(start: PretrainStart): void;
  onStep?(report: StepReport): void;
  onScore?(record: ScoreRecord): void;
  onWarning?(text: string): void;
}

/** What is known before the first step. */
export interface PretrainStart extends PretrainOutline {
  facts: CorpusFacts;
  /** Sequences to train on, and held out. */
  sequences: number;
  heldOut: number;
  isa: string;
  threads: number;
  /** Steps done before, of a run that goes on. */
  done: number;
}

/** What came of a run. */
export interface PretrainOutcome {
  start: PretrainStart;
  records: readonly LogRecord[];
  scores: readonly ScoreRecord[];
  /** The last; absent when nothing was held out. */
  score: ScoreRecord | undefined;
  /** Trained on. */
  tokens: number;
  /** Of the whole run, interruptions left out. */
  seconds: number;
}

/**
 * Trains a new model. One seed gives one model, bit by bit, on any number of threads, and across interruptions, unless its budget is hours.
 * @throws UffbError for what cannot be trained or written, before the first step as far as that can be known; CancelledError after a
 * checkpoint, when `signal` says so
 */
export async function pretrain(job: PretrainJob, options: PretrainOptions): Promise<PretrainOutcome> {
  const { recipe, output, resume = false, signal } = options;
  checkPretrainRecipe(recipe);
  if (job.shape.feedforward.kind !== "trees") {
    if (recipe.balance > 0) throw new UsageError(`--balance ${recipe.balance} is for trees; leave it out`);
    if (recipe.branchNoise > 0)
      throw new UsageError(`--branch-noise ${recipe.branchNoise} is for trees; leave it out`);
  }
  if (output !== undefined) checkOutput(output, resume);
  const { text, config } = newConfig(job.shape);
  const mask = maskOf(job);
  const sequences = sequencesOf(job, recipe);
  using trainer = newTrainer(config, recipe);
  const { keeper, start } = await begin(job, options, trainer, sequences);
  using _ = keeper;
  const { progress, log } = keeper;
  const course = new Budgeted({
    trainer,
    recipe,
    sequences,
    mask,
    vocab: job.vocabulary.tokenizer.vocabSize,
    progress,
    log,
    onScore: (record) => options.onScore?.(record),
  });
  await runSteps({
    trainer,
    adamw: adamwOf(recipe),
    balance: recipe.balance,
    course,
    progress,
    log,
    checkpoint: keeper.onDisk ? () => keeper.checkpoint() : undefined,
    signal,
    onStep: (report) => options.onStep?.(report),
  });
  const scores = log.records.filter((record): record is ScoreRecord => record.event === "score");
  const outcome: PretrainOutcome = {
    start,
    records: log.records,
    scores,
    score: scores.at(-1),
    tokens: progress.sequences * recipe.length,
    seconds: progress.seconds,
  };
  const { loss, accuracy } = outcome.score ?? {};
  log.add({ event: "end", step: progress.step, tokens: outcome.tokens, loss, accuracy });
  if (output !== undefined) {
    await saveModel(output, trainer, config, {
      "config.json": text,
      ...job.vocabulary.texts,
      ...options.describe?.(outcome),
      "training.jsonl": jsonLines(log.records),
    });
    keeper.remove();
  }
  return outcome;
}

function maskOf({ vocabulary: { tokenizer, source }, shape }: PretrainJob): number {
  const { mask, sep } = tokenizer.specials;
  if (mask === undefined || sep === undefined)
    throw new UffbError(`${source}: has no ${mask ? "separator" : "mask"} token, which pretraining needs`);
  if (shape.vocab < tokenizer.vocabSize)
    throw new UsageError(
      `a vocabulary of ${shape.vocab} is too small for the tokenizer's ${tokenizer.vocabSize} tokens`,
    );
  return mask.id;
}

export function sequencesOf({ vocabulary, tokens }: PretrainJob, recipe: PretrainRecipe): Sequences {
  const { length, heldOut, order, seed } = recipe;
  return new Sequences(tokens.ids, {
    length,
    heldOut,
    mostHeldOut: MOST_HELD_OUT,
    order,
    counted: vocabulary.tokenizer.encode(".").ids[0],
    seed,
  });
}

/** Makes the trainer ready and takes the run up where it is, after what there is to know of it before the first step. */
async function begin(
  job: PretrainJob,
  { recipe, output, resume = false, threads, onStart, onWarning = () => {} }: PretrainOptions,
  trainer: NativeTrainer,
  sequences: Sequences,
): Promise<{ keeper: Keeper; start: PretrainStart }> {
  trainer.multiply(recipe.compute);
  const found = {
    ...outline(job.shape, recipe, trainer, threads || cpuCount()),
    facts: job.tokens.facts,
    sequences: sequences.count,
    heldOut: sequences.heldOut,
  };
  trainer.ready({ threads });
  const { feedforward, ...shape } = job.shape;
  const { key } = job.tokens.facts;
  const settings = { shape: feedforwardName(feedforward), ...shape, ...settingsOf(recipe), corpus: key };
  return beginRun(trainer, output, settings, { resume, warn: onWarning }, (begun) => {
    const start = { ...found, ...begun };
    onStart?.(start);
    return start;
  });
}
