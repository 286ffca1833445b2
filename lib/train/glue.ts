/** Fine-tunes a pretrained model for a task of GLUE or SuperGLUE. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { UsageError } from "../base/errors.ts";
import { type DataOptions, type Dataset, loadSplit } from "../data/load.ts";
import { checkpointName, TASKS, type Task } from "../data/tasks.ts";
import { type Model, openModel } from "../model/model.ts";
import type { Texts } from "./encode.ts";
import { type FinetuneOptions, finetune, type Job, type Outcome } from "./finetune.ts";

export interface GlueTraining extends Omit<FinetuneOptions, "model" | "describe"> {
  data: DataOptions;
  /** Flags were given that only training has a use for. */
  wanted: boolean;
  /** Several tasks share the model's path, and each needs a head of its own. */
  shared: boolean;
  /** Says that a model is about to be trained. */
  onTrain(model: string, task: Task): void;
  describe(job: GlueJob, outcome: Outcome): Record<string, string>;
  onTrained?(job: GlueJob, outcome: Outcome): Promise<void>;
}

export interface GlueJob extends Job {
  task: Task;
  train: Texts;
  /** What it is trained and scored on. */
  sets: { name: string; rows: number; sha256: string }[];
}

/**
 * Opens a model for a task, and trains it where it has no head.
 * @throws UsageError when it has one, and training was asked for; what `finetune` and `loadSplit` throw
 */
export async function openForTask(
  path: string | undefined,
  task: Task,
  options: GlueTraining,
): Promise<Model> {
  const model = await openModel(path);
  const { task: head } = model.config;
  if (head !== "mlm" && head !== "embedding") {
    const { source } = model;
    if (!options.wanted && !options.shared) return model;
    model[Symbol.dispose]();
    throw new UsageError(
      options.wanted
        ? `${source} has a head and is evaluated as it is; leave out what is for training, or start from a pretrained model`
        : `${source} is fine-tuned for one task; every task of all needs its own checkpoint: --model 'folder/{task}'`,
    );
  }
  model[Symbol.dispose]();
  options.onTrain(model.source, task);
  const job = await glueJob(task, options.data);
  const outcome = await finetune(job, {
    ...options,
    model: path,
    output: options.output?.replaceAll("{task}", checkpointName(task)),
    describe: (outcome) => options.describe(job, outcome),
  });
  await options.onTrained?.(job, outcome);
  return outcome.model;
}

/** The task whose training set is used: that of the checkpoint. */
function trainingTask(task: Task): Task {
  return TASKS.find(({ name }) => name === checkpointName(task)) ?? task;
}

async function glueJob(task: Task, data: DataOptions): Promise<GlueJob> {
  const own = trainingTask(task);
  const [train, dev] = [await loadSplit(own, "train", data), await loadSplit(own, "dev", data)];
  const kind = own.labels.length === 0 ? "regression" : "classification";
  return {
    task: own,
    kind,
    labels: own.labels,
    train: toTexts(train),
    valid: toTexts(dev),
    metrics: own.metrics,
    judge: own.metrics[0]!,
    data: { task: own.name, rows: train.examples.length, sha256: await hash(train.files) },
    sets: await Promise.all(
      [train, dev].map(async ({ split, examples, files }) => ({
        name: `${own.title}, ${split}`,
        rows: examples.length,
        sha256: await hash(files),
      })),
    ),
  };
}

/** SHA-256 of files, one after the other. */
async function hash(files: readonly string[]): Promise<string> {
  const all = createHash("sha256");
  for (const file of files) all.update(await readFile(file));
  return all.digest("hex");
}

function toTexts({ examples, files, task }: Dataset): Texts {
  const groups = new Map<string, number>();
  const numbers = examples.map(({ group }) => {
    if (group !== undefined && !groups.has(group)) groups.set(group, groups.size);
    return group === undefined ? -1 : groups.get(group)!;
  });
  return {
    texts: examples.map(({ texts }) => texts),
    targets: examples.map(({ label }) => label!),
    place: (i) => `${files[0]}:${examples[i]!.line}`,
    ...(task.group && { groups: Int32Array.from(numbers) }),
  };
}
