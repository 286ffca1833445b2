/** The rungs: how each makes its model, and how it is timed. A new one is an entry in RUNGS. */
import { join } from "node:path";
import { cpuCount } from "../../ffi/engine.ts";
import { UsageError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { convertModel } from "../convert/convert.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { loadConfig } from "../model/config.ts";
import { type Feedforward, feedforwardName, readFeedforward } from "../model/families/feedforward.ts";
import type { LadderJob } from "./job.ts";
import { type EngineWay, openEngine, openTorch, type Runner } from "./runner.ts";
import { plantTrees, pruneAndTeach, trainStudent } from "./student.ts";

export interface Rung {
  /** In --rungs, and of its folder. */
  name: string;
  /** For people. */
  title(job: LadderJob): string;
  /** Runs in PyTorch. */
  peer?: true;
  /** Stands beside the ladder: no factor is taken over it. */
  beside?: true;
  /** Later rungs are made of the model before this one, unless this one is faster and keeps the score. */
  mustPay?: true;
  /** Makes a model of the one of the rung before; absent where it runs that one. */
  make?: {
    /** File or folder within the rung's folder. */
    output: string;
    /** What the model depends on beside the one it is made of. */
    settings(job: LadderJob): JsonObject;
    /** Writes `output` whole, or goes on where it was interrupted. */
    run(job: LadderJob, from: string, output: string): Promise<void>;
  };
  open(job: LadderJob, model: string): Promise<Runner>;
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
  openTorch(job, job.python!, model, lengthOf(job, length));

/** Later rungs keep the way of running that earlier ones introduced. */
const engine = (way: EngineWay) => (job: LadderJob, model: string) => openEngine(job, model, way);

/** A model as it is, its texts as long as they are. */
export const alone = engine({});

export const RUNGS: readonly Rung[] = [
  {
    name: "pytorch-512",
    title: fixedTitle("PyTorch, fixed length", FASTFORMERS),
    peer: true,
    open: torch(FASTFORMERS),
  },
  {
    name: "pytorch-128",
    title: fixedTitle("PyTorch, fixed length", GLUE),
    peer: true,
    beside: true,
    open: torch(GLUE),
  },
  {
    name: "fixed",
    title: fixedTitle("uffb, fixed length", FASTFORMERS),
    open: (job, model) => openEngine(job, model, { padTo: lengthOf(job, FASTFORMERS) }),
  },
  { name: "dynamic", title: () => "dynamic length", open: alone },
  {
    name: "distilled",
    title: () => "distilled",
    make: {
      output: "model",
      settings: ({ kept, recipe }) => ({ kept, recipe }),
      run: trainStudent,
    },
    open: alone,
  },
  {
    name: "pruned",
    title: () => "pruned, taught again",
    make: {
      output: "model",
      settings: ({ pruneWidth, pruneHeads, recipe }) => ({ pruneWidth, pruneHeads, recipe }),
      run: pruneAndTeach,
    },
    open: alone,
  },
  {
    name: "trees",
    title: ({ trees }) => `trees, ${feedforwardName(trees)}`,
    mustPay: true,
    make: {
      output: "model",
      settings: ({ trees, recipe }) => ({ trees: feedforwardName(trees), recipe }),
      run: plantTrees,
    },
    open: alone,
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
    open: alone,
  },
  {
    name: "instances",
    title: () => "an instance a core",
    open: (job, model) => openEngine(job, model, { instances: cpuCount() }),
  },
];

/** Branches on the way through a tree. */
const DEPTH = 6;

/**
 * Trees by their name; without one, as many active neurons as a dense layer of `width`: half of it dense, half on the ways through trees
 * beside it. @throws UsageError for what are no trees
 */
export function chooseTrees(name: string | undefined, width: number): Feedforward {
  if (name === undefined) {
    const dense = width >> 1;
    const trees = Math.max(1, Math.round((width - dense) / (DEPTH + 1)));
    return { kind: "trees", trees, depth: DEPTH, dense };
  }
  const found = readFeedforward(name);
  if (found?.kind === "trees") return found;
  throw new UsageError(`--trees ${name}: give trees, such as 4x8, 4x8:linear or dense:64+9x6`);
}

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
