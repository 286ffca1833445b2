/**
 * FastFormers' table (arXiv 2010.13382, table 3) for a task of GLUE: what each way of making a model cheaper brings, every number
 * measured. What `uffb ladder` does.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { UffbError } from "../base/errors.ts";
import { writeWhole } from "../base/write.ts";
import { checkStopped, dataHash, hashJson, hashOf, type LadderJob, modelBytes, textIfThere } from "./job.ts";
import { type Timed, timeInTurn } from "./rounds.ts";
import { alone, type Rung, rungFolder } from "./rungs.ts";

/** A rung with what was measured on it. */
export interface Step extends Timed {
  rung: { name: string; title: string; beside?: true };
  /** It did not pay: later rungs are made of the model before it. */
  aside?: true;
  /** Of the model that it ran. */
  model: string;
  bytes: number;
}

export interface LadderResult {
  steps: Step[];
  /** Of a rung that must pay. */
  trials: Trial[];
  /** Why rungs are not there. */
  left: string[];
}

/** A rung against the model before it, in turns of their own before later rungs are made. */
export interface Trial {
  title: string;
  /** How many times as fast. */
  faster: number;
  /** Share of the score, 0 to 1, that it loses against the teacher. */
  lost: number;
  pays: boolean;
}

/** A rung with the model that it runs. */
interface Place {
  rung: Rung;
  title: string;
  model: string;
  aside?: true;
}

/**
 * Makes the models of the rungs in order, then times all in turns. What is finished in `job.folder` is not done again: a model as long as
 * what it was made of and how are the same, a round of turns as long as the models, the data and the machine are.
 * @throws UffbError where a folder holds a model that was made otherwise; CancelledError
 */
export async function climb(job: LadderJob, rungs: readonly Rung[]): Promise<LadderResult> {
  const places: Place[] = [];
  const trials: Trial[] = [];
  const left: string[] = [];
  let model = job.teacher;
  for (const rung of rungs) {
    checkStopped(job);
    const title = rung.title(job);
    if (rung.peer && job.python === undefined) {
      left.push(`${title}: no Python with torch and transformers was found; --python names one`);
      continue;
    }
    const own = rung.make ? await made(job, rung, rung.make, model) : model;
    const trial = rung.mustPay && (await tried(job, rung, model, own));
    if (trial) trials.push(trial);
    places.push({ rung, title, model: own, ...(trial && !trial.pays && { aside: true }) });
    if (trial?.pays ?? true) model = own;
  }
  const contenders = places.map(({ rung, ...place }) => ({
    ...place,
    mayFail: rung.peer ?? false,
    open: () => rung.open(job, place.model),
  }));
  const timed = await timeInTurn(job, contenders, join(job.folder, "times.json"));
  const steps: Step[] = [];
  for (const [i, { rung, title, model: path, aside }] of places.entries()) {
    const found = timed[i]!;
    if (typeof found === "string") {
      left.push(`${title}: ${found}`);
      continue;
    }
    const { name, beside } = rung;
    steps.push({
      rung: { name, title, ...(beside && { beside }) },
      ...(aside && { aside }),
      model: path,
      bytes: modelBytes(path),
      ...found,
    });
  }
  return { steps, trials, left };
}

/** Whether `own` is faster than `from`, which it was made of, and loses no more against the teacher than is allowed. */
async function tried(job: LadderJob, rung: Rung, from: string, own: string): Promise<Trial> {
  const title = rung.title(job);
  const contender = (what: string, model: string) => ({ title: what, model, open: () => alone(job, model) });
  const contenders = [contender("before", from), contender(title, own), contender("teacher", job.teacher)];
  const [before, after, teacher] = (await timeInTurn(
    job,
    contenders,
    join(rungFolder(job, rung), "trial.json"),
  )) as Timed[];
  const faster = before!.seconds / after!.seconds;
  const lost = teacher!.score - after!.score;
  return { title, faster, lost, pays: faster > 1 && lost <= job.mostLost };
}

/** The rung's model, made unless it is there. */
async function made(
  job: LadderJob,
  rung: Rung,
  make: NonNullable<Rung["make"]>,
  from: string,
): Promise<string> {
  const folder = rungFolder(job, rung);
  mkdirSync(folder, { recursive: true });
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
