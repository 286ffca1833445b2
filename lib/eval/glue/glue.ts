import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { UffbError } from "../../base/errors.ts";
import { writeWhole } from "../../base/write.ts";
import { fetchSplit } from "../../data/fetch.ts";
import { type Dataset, loadSplit, MissingData } from "../../data/load.ts";
import { checkpointName, type Split, type Task } from "../../data/tasks.ts";
import type { DownloadEvent } from "../../hub/download.ts";
import { type Model, openModel } from "../../model/model.ts";
import { evaluateCosine } from "./cosine.ts";
import { type EvaluateOptions, type Evaluation, evaluate } from "./evaluate.ts";
import { type Ladder, ladder } from "./ladder.ts";
import { predictionLines } from "./predictions.ts";
import { submissionFile } from "./submission.ts";
import { type WorstExample, worstExamples } from "./worst.ts";

/** The model, the data, and callbacks for warnings and progress. */
export interface TaskOptions {
  /** A checkpoint, the built-in model when absent; "{task}" in it stands for the task it was fine-tuned for. */
  model?: string | undefined;
  /** Opens the model for a task, in a way of its own: one that trains it first, say. */
  open?: ((path: string | undefined, task: Task) => Promise<Model>) | undefined;
  data?: string | undefined;
  /** Leave out, with a warning, tasks whose checkpoint or data are not there. */
  lenient?: boolean;
  onWarning(text: string): void;
  onProgress(task: Task, split: Split, done: number, total: number): void;
  onDownload(event: DownloadEvent): void;
}

export interface GlueOptions extends TaskOptions, Omit<EvaluateOptions, "onProgress"> {
  /** Write each example's prediction to this file; "{task}" in it is replaced, too. */
  predictions?: string | undefined;
  /** Predict the test sets as well, and write the GLUE server's files to this folder. */
  submission?: string | undefined;
  /** Score two texts by the cosine of their vectors, instead of by a head. */
  cosine?: boolean | undefined;
  /** Worst examples to report of each task. */
  errors?: number | undefined;
}

/** What one task gave, and the examples to show of it. */
export interface TaskReport {
  evaluation: Evaluation;
  worst: WorstExample[];
}

/**
 * Evaluates a checkpoint on the dev set of each task, or several, each on its own. @throws UffbError at the first task that cannot be
 * evaluated, and when none is left
 */
export async function glue(tasks: readonly Task[], options: GlueOptions): Promise<TaskReport[]> {
  const foreign = options.submission !== undefined && tasks.find((task) => task.submission === undefined);
  if (foreign) throw new UffbError(`${foreign.title} is not on the GLUE server; leave --submission out`);
  return eachTask(tasks, options, (model, task) => evaluateTask(model, task, options));
}

export interface GlueLadderOptions extends TaskOptions, Pick<EvaluateOptions, "batchTokens" | "force"> {
  /** The same checkpoint with 8-bit weights; "{task}" in it is replaced, too. */
  int8?: string | undefined;
}

/** The steps of one task. */
export interface LadderReport {
  task: Task;
  model: string;
  ladder: Ladder;
}

/** Times the dev set of each task in the steps of ladder.ts. @throws as `glue` does */
export async function glueLadders(
  tasks: readonly Task[],
  options: GlueLadderOptions,
): Promise<LadderReport[]> {
  return eachTask(tasks, options, async (model, task) => {
    const dataset = await load(task, "dev", options);
    using int8 =
      options.int8 === undefined
        ? undefined
        : await openModel(options.int8.replaceAll("{task}", checkpointName(task)));
    const onProgress = (done: number) => options.onProgress(task, "dev", done, dataset.examples.length);
    const { batchTokens, force } = options;
    const found = await ladder(model, dataset, { int8, batchTokens, onProgress, force });
    for (const warning of found.warnings) options.onWarning(warning);
    return { task, model: model.source, ladder: found };
  });
}

async function eachTask<T>(
  tasks: readonly Task[],
  options: TaskOptions,
  work: (model: Model, task: Task) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  using models = new OneModel();
  for (const task of tasks) {
    const path = options.model?.replaceAll("{task}", checkpointName(task));
    let found = path === undefined || existsSync(path);
    try {
      const model = await models.open(path, task, options.open);
      found = true; // a model on the hub, by its name
      results.push(await work(model, task));
    } catch (error) {
      const missing = error instanceof MissingData || (error instanceof UffbError && !found);
      if (!options.lenient || !missing) throw error;
      options.onWarning(`${error.message}; ${task.title} is left out`);
    }
  }
  if (results.length === 0)
    throw new UffbError("no task is left; see the warnings for what each of them lacks");
  return results;
}

async function evaluateTask(model: Model, task: Task, options: GlueOptions): Promise<TaskReport> {
  const { predictions, submission, errors = 0 } = options;
  const evaluation = await evaluateSplit(model, task, "dev", options);
  for (const warning of evaluation.warnings) options.onWarning(warning);
  if (predictions !== undefined) {
    await writeWhole(predictions.replaceAll("{task}", task.name), predictionLines(evaluation.predictions));
  }
  if (submission !== undefined) {
    const { name, text } = submissionFile(await evaluateSplit(model, task, "test", options));
    await mkdir(submission, { recursive: true });
    await writeWhole(join(submission, name), text);
  }
  return { evaluation, worst: worstExamples(evaluation, errors) };
}

async function evaluateSplit(
  model: Model,
  task: Task,
  split: Split,
  options: GlueOptions,
): Promise<Evaluation> {
  const dataset = await load(task, split, options);
  const onProgress = (done: number) => options.onProgress(task, split, done, dataset.examples.length);
  return (options.cosine ? evaluateCosine : evaluate)(model, dataset, { ...options, onProgress });
}

function load(task: Task, split: Split, { data, onDownload }: TaskOptions): Promise<Dataset> {
  return loadSplit(task, split, { data, download: (t, s) => fetchSplit(t, s, onDownload) });
}

/** Keeps the model opened last, since tasks in a row may share it. */
class OneModel {
  #key = "";
  #model: Model | undefined;

  async open(
    path: string | undefined,
    task: Task,
    open: NonNullable<TaskOptions["open"]> = (path) => openModel(path),
  ) {
    const key = JSON.stringify([path, checkpointName(task)]);
    if (this.#model === undefined || this.#key !== key) {
      this[Symbol.dispose]();
      this.#model = await open(path, task);
      this.#key = key;
    }
    return this.#model;
  }

  [Symbol.dispose](): void {
    this.#model?.[Symbol.dispose]();
    this.#model = undefined;
  }
}
