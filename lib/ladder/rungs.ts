/** The rungs: how each makes its model, and how it is timed. A new one is an entry in RUNGS. */
import { join } from "node:path";
import { cpuCount } from "../../ffi/engine.ts";
import { UsageError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { convertModel } from "../convert/convert.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { loadConfig } from "../model/config.ts";
import type { LadderJob } from "./job.ts";
import { pruneAndTeach, trainStudent } from "./student.ts";
import { type EngineWay, type Timed, timeEngine, timeTorch } from "./time.ts";

export interface Rung {
  /** In --rungs, and of its folder. */
  name: string;
  /** For people. */
  title(job: LadderJob): string;
  /** Runs in PyTorch. */
  peer?: true;
  /** Stands beside the ladder: no factor is taken over it. */
  beside?: true;
  /** Makes a model of the one of the rung before; absent where it runs that one. */
  make?: {
    /** File or folder within the rung's folder. */
    output: string;
    /** What the model depends on beside the one it is made of. */
    settings(job: LadderJob): JsonObject;
    /** Writes `output` whole, or goes on where it was interrupted. */
    run(job: LadderJob, from: string, output: string): Promise<void>;
  };
  time(job: LadderJob, model: string, title: string): Promise<Timed>;
}

/** Tokens of FastFormers' baseline. */
const FASTFORMERS = 512;
/** Tokens that GLUE is fine-tuned with. */
const GLUE = 128;

/** Most tokens that the teacher takes, up to `most`. */
const lengthOf = ({ teacher }: LadderJob, most: number) =>
  Math.min(most, loadConfig(openCheckpoint(teacher)).arch.maxLength);

const fixedTitle = (what: string, length: number) => (job: LadderJob) => `${what} ${lengthOf(job, length)}`;

const torch = (length: number) => (job: LadderJob, model: string) =>
  timeTorch(job, job.python!, model, lengthOf(job, length));

/** Later rungs keep the way of running that earlier ones introduced. */
const engine = (way: EngineWay) => (job: LadderJob, model: string, title: string) =>
  timeEngine(job, model, title, way);

export const RUNGS: readonly Rung[] = [
  {
    name: "pytorch-512",
    title: fixedTitle("PyTorch, fixed length", FASTFORMERS),
    peer: true,
    time: torch(FASTFORMERS),
  },
  {
    name: "pytorch-128",
    title: fixedTitle("PyTorch, fixed length", GLUE),
    peer: true,
    beside: true,
    time: torch(GLUE),
  },
  {
    name: "fixed",
    title: fixedTitle("uffb, fixed length", FASTFORMERS),
    time: (job, model, title) => timeEngine(job, model, title, { padTo: lengthOf(job, FASTFORMERS) }),
  },
  { name: "dynamic", title: () => "dynamic length", time: engine({}) },
  {
    name: "distilled",
    title: () => "distilled",
    make: {
      output: "model",
      settings: ({ kept, recipe }) => ({ kept, recipe }),
      run: trainStudent,
    },
    time: engine({}),
  },
  {
    name: "pruned",
    title: () => "pruned, taught again",
    make: {
      output: "model",
      settings: ({ pruneWidth, pruneHeads, recipe }) => ({ pruneWidth, pruneHeads, recipe }),
      run: pruneAndTeach,
    },
    time: engine({}),
  },
  {
    name: "int8",
    title: () => "int8",
    make: {
      output: "model.uffb.safetensors",
      settings: () => ({}),
      run: async (_, from, output) => {
        await convertModel(openCheckpoint(from), output, { to: "packed", dtype: "I8" });
      },
    },
    time: engine({}),
  },
  {
    name: "instances",
    title: () => "an instance a core",
    time: (job, model, title) => timeEngine(job, model, title, { instances: cpuCount() }),
  },
];

/** The rungs of a list of names; all without one. @throws UsageError */
export function chooseRungs(names: string | undefined): readonly Rung[] {
  if (names === undefined) return RUNGS;
  const wanted = names.split(",").map((name) => name.trim());
  return wanted.map((name, i) => {
    const found = RUNGS.find((rung) => rung.name === name);
    if (found === undefined)
      throw new UsageError(
        `--rungs: there is no ${name || "empty name"}; give ${RUNGS.map((rung) => rung.name).join(", ")}`,
      );
    if (wanted.indexOf(name) < i) throw new UsageError(`--rungs: ${name} is there twice`);
    return found;
  });
}

/** Where a rung keeps what it made and measured. */
export const rungFolder = ({ folder }: LadderJob, { name }: Rung) => join(folder, name);
