/**
 * FastFormers' table (arXiv 2010.13382, table 3) for a task of GLUE: what each way of making a model cheaper brings, every number
 * measured. What `uffb ladder` does.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { cpuCount, isas } from "../../ffi/engine.ts";
import { UffbError } from "../base/errors.ts";
import { readObject } from "../base/json.ts";
import { writeWhole } from "../base/write.ts";
import { describeMachine } from "../bench/measure/machine.ts";
import { checkStopped, dataHash, hashJson, hashOf, type LadderJob, modelBytes, textIfThere } from "./job.ts";
import { type Rung, rungFolder } from "./rungs.ts";
import type { Timed } from "./time.ts";

/** A rung with what was measured on it. */
export interface Step extends Timed {
  rung: { name: string; title: string; beside?: true };
  /** Of the model that it ran. */
  model: string;
  bytes: number;
}

export interface LadderResult {
  steps: Step[];
  /** Why rungs are not there. */
  left: string[];
}

/**
 * Makes and times the rungs in order. What is finished in `job.folder` is not done again: a model as long as what it was made of and how
 * are the same, a time as long as the model, the data and the machine are.
 * @throws UffbError where a folder holds a model that was made otherwise; CancelledError
 */
export async function climb(job: LadderJob, rungs: readonly Rung[]): Promise<LadderResult> {
  const steps: Step[] = [];
  const left: string[] = [];
  let model = job.teacher;
  for (const rung of rungs) {
    checkStopped(job);
    const title = rung.title(job);
    if (rung.peer && job.python === undefined) {
      left.push(`${title}: no Python with torch and transformers was found; --python names one`);
      continue;
    }
    mkdirSync(rungFolder(job, rung), { recursive: true });
    if (rung.make) model = await made(job, rung, rung.make, model);
    try {
      const timed = await timeOf(job, rung, model, title);
      const { name, beside } = rung;
      steps.push({
        rung: { name, title, ...(beside && { beside }) },
        model,
        bytes: modelBytes(model),
        ...timed,
      });
    } catch (error) {
      if (!rung.peer || !(error instanceof UffbError)) throw error;
      left.push(`${title}: ${error.message}`);
    }
  }
  return { steps, left };
}

/** The rung's model, made unless it is there. */
async function made(
  job: LadderJob,
  rung: Rung,
  make: NonNullable<Rung["make"]>,
  from: string,
): Promise<string> {
  const folder = rungFolder(job, rung);
  const output = join(folder, make.output);
  const key = hashJson({
    from: hashOf(from),
    teacher: hashOf(job.teacher),
    data: dataHash(job.train),
    ...make.settings(job),
  });
  const note = join(folder, "made-of");
  const before = textIfThere(note);
  if (before !== undefined && before !== key)
    throw new UffbError(
      `${folder} holds a model that was made with other settings, data or teacher; remove that folder, or give another --output`,
    );
  await writeWhole(note, key);
  if (!existsSync(output)) await make.run(job, from, output);
  return output;
}

async function timeOf(job: LadderJob, rung: Rung, model: string, title: string): Promise<Timed> {
  const path = join(rungFolder(job, rung), "time.json");
  const key = hashJson({
    model: hashOf(model),
    data: dataHash(job.dev),
    repeat: job.repeat,
    cpu: describeMachine().cpu,
    isas: isas(),
    cores: cpuCount(),
    ...(rung.peer && { python: job.python }),
  });
  const text = textIfThere(path);
  const found = text === undefined ? undefined : readObject(text, path);
  if (found?.key === key) return found.timed as unknown as Timed;
  const timed = await rung.time(job, model, title);
  await writeWhole(path, `${JSON.stringify({ key, timed }, null, 2)}\n`);
  return timed;
}
