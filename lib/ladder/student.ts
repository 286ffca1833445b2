/** The rungs that learn: from the training set alone, taught by the teacher. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DistilData } from "../distil/data.ts";
import { distil } from "../distil/distil.ts";
import { openTeacher, type TeacherModel } from "../distil/open.ts";
import type { Kept } from "../distil/student.ts";
import { matchLabels } from "../eval/glue/labels.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openModel } from "../model/model.ts";
import { prune } from "../prune/prune.ts";
import { runFolder } from "../train/keep.ts";
import { checkStopped, dataHash, type LadderJob } from "./job.ts";

/** Writes the student to `output`. `from`: the model that it is made of. */
export function trainStudent(job: LadderJob, from: string, output: string): Promise<void> {
  return taught(job, from === job.teacher ? undefined : from, job.kept, output);
}

/** Fits trees in the place of the feedforward layers of `from`, and has the whole taught. */
export function plantTrees(job: LadderJob, from: string, output: string): Promise<void> {
  return taught(job, from === job.teacher ? undefined : from, { feedforward: job.trees }, output);
}

/** Takes neurons, and heads, out of `from`, and has what is left taught again. What it is before that is kept beside `output`. */
export async function pruneAndTeach(job: LadderJob, from: string, output: string): Promise<void> {
  const cut = join(dirname(output), "untaught");
  if (!existsSync(cut)) await pruned(job, from, cut);
  await taught(job, cut, {}, output);
}

async function pruned(job: LadderJob, from: string, output: string): Promise<void> {
  const { pruneWidth: width, pruneHeads: heads, threads, recipe } = job;
  using teacher = await openTeacher(job.teacher);
  using model = await openModel(from);
  const { batch, maxLength, seed } = recipe;
  await prune(model, openCheckpoint(from), dataOf(job, teacher).train, output, {
    width,
    heads,
    examples: MOST_TOLD,
    batch,
    maxLength,
    seed,
    threads,
    onProgress: (done, total) => {
      checkStopped(job);
      job.onProgress("what matters", done, total);
    },
  });
}

/** Most examples that tell what matters. */
const MOST_TOLD = 4096;

async function taught(
  job: LadderJob,
  student: string | undefined,
  kept: Kept,
  output: string,
): Promise<void> {
  const { recipe, threads, signal, display } = job;
  using teacher = await openTeacher(job.teacher);
  await distil(teacher, dataOf(job, teacher), {
    ...display,
    student,
    kept,
    recipe,
    output,
    resume: existsSync(join(runFolder(output), "state.safetensors")),
    threads,
    signal,
  });
}

/** The training set as the teacher's classes. Nothing is held out: the last epoch counts. */
function dataOf({ train: dataset }: LadderJob, { compared, model }: TeacherModel): DistilData {
  const { task, examples, files } = dataset;
  const { order } = matchLabels(task, model);
  const regression = task.labels.length === 0;
  return {
    compared,
    train: {
      texts: examples.map(({ texts }) => texts),
      targets: examples.map(({ label }) => (regression ? label! : order[label!]!)),
      place: (i) => `${files[0]}:${examples[i]!.line}`,
    },
    metrics: task.metrics,
    judge: "loss",
    files: [{ name: `${task.title}, train`, rows: examples.length, sha256: dataHash(dataset) }],
    held: 0,
    notes: [],
    warnings: [],
  };
}
