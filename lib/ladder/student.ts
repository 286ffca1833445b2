/** The distilled rung: a student of the teacher, taught on the training set alone. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DistilData } from "../distil/data.ts";
import { distil } from "../distil/distil.ts";
import { openTeacher, type TeacherModel } from "../distil/open.ts";
import { matchLabels } from "../eval/glue/labels.ts";
import { runFolder } from "../train/keep.ts";
import { dataHash, type LadderJob } from "./job.ts";

/** Writes the student to `output`. `from`: the model that it is made of. */
export async function trainStudent(job: LadderJob, from: string, output: string): Promise<void> {
  const { kept, recipe, threads, signal, display } = job;
  using teacher = await openTeacher(job.teacher);
  await distil(teacher, dataOf(job, teacher), {
    ...display,
    student: from === job.teacher ? undefined : from,
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
