import { ROW_DTYPES, type RowDtype } from "../../ffi/bench.ts";
import { UsageError } from "../../lib/base/errors.ts";
import { decodeUtf8, readNamed } from "../../lib/base/read.ts";
import { walks } from "../../lib/bench/encoder/random-model.ts";
import type { Dtype } from "../../lib/bench/encoder/runners.ts";
import { readRealPaths } from "../../lib/bench/layer/real-paths.ts";
import { parseGrid } from "../../lib/bench/measure/grid.ts";
import { type LayerShape, PAPER_SHAPES, preset, shapeName } from "../../lib/bench/measure/presets.ts";
import type { Plan } from "../../lib/bench/plan.ts";
import { FORMAT_NAMES } from "../../lib/bench/report/formats.ts";
import { type Model, openModel } from "../../lib/model/model.ts";
import { PLAIN_SENTENCES } from "../../lib/text/sample.ts";
import { type Args, deviceArgs, grouped, type Values } from "../cli/args.ts";

const grid = (description: string) => ({ type: "string", valueHint: "list", description }) as const;

export const ARGS = {
  ...grouped("WHAT TO TIME", {
    quick: {
      type: "boolean",
      description:
        "A small run: 2 seconds a case, batches 1, 128 and 1024; half a minute, or two where the last cache is large",
    },
    preset: {
      type: "string",
      valueHint: "name",
      description:
        "A shape of the paper, such as 1x11; `all` measures all of them, as layers and as whole models",
    },
    model: {
      type: "string",
      valueHint: "preset|path",
      multiple: true,
      description:
        "Time whole encoders: a preset with random weights, or a checkpoint. Also the model whose paths --paths real uses",
    },
    hidden: grid("Hidden size; lists are 768,1024, ranges 256-4096*2 or 1-9+2; default: 768"),
    trees: grid("Trees of the layer; 0 for a dense one; default: 1"),
    depth: grid("Depth of its trees; default: 11"),
    width: grid("Neurons of a dense layer, for --trees 0; default: 3072"),
    batch: grid(
      "Tokens of a layer's batch, or sequences of a model's; default: 1,16,128,1024,16384, of a model 1,8",
    ),
    length: grid("Tokens of a sequence, for --model; default: 128"),
    dtype: {
      type: "enum",
      options: ["f32", "f16", "bf16", "int8"],
      multiple: true,
      description:
        "Dtype of weights; default: f32. For --model: f32 or int8, to which a checkpoint is converted for the run; default: its own. For layers with trees deeper than 3: f32 or bf16. On a device, of activations, too: f32, f16 or bf16; default: all three",
    },
  }),
  ...grouped("AGAINST WHAT", {
    level: {
      type: "number",
      integer: true,
      min: 1,
      max: 3,
      multiple: true,
      description: "BLAS level to compare at; default: 1, 2 and 3",
    },
    blas: {
      type: "string",
      valueHint: "name|path",
      multiple: true,
      description:
        "BLAS to compare with, or `ours`; default: every one that is found, or `ours` where none is",
    },
    asPublished: {
      type: "boolean",
      description:
        "Also run the published benchmark: its arithmetic on our inputs, and as published, with weights and inputs that are never set",
    },
    list: {
      type: "boolean",
      description: "List the BLAS libraries, or devices, and what this machine can do",
    },
  }),
  ...grouped("HOW", {
    seconds: { type: "number", min: 0.01, max: 3600, description: "Time for a case; default: 15" },
    threads: grid("CPU threads; 0 for all that this process may use; default: 1"),
    device: { ...deviceArgs.device, description: "Where everything runs; default: cpu" },
    paths: {
      type: "enum",
      options: ["uniform", "skewed", "real"],
      default: "uniform",
      description:
        "How tokens fall: evenly, nine in ten to the left at each node, or as text does in a model's middle layer",
    },
    text: {
      type: "string",
      valueHint: "file",
      description: "For --paths real: text, one a line; default: some sentences",
    },
    rotated: {
      type: "boolean",
      description:
        "Calls take turns with copies of the weights that exceed the caches. Default for a layer's batch of 1, together with --cold on the CPU",
    },
    cold: { type: "boolean", description: "All caches emptied before each call" },
    warm: { type: "boolean", description: "Weights in the caches; default for larger batches" },
  }),
  ...grouped("OUTPUT", {
    format: {
      type: "enum",
      options: ["table", ...FORMAT_NAMES],
      description: "How to print the records; default: table",
    },
    export: {
      type: "string",
      valueHint: "file",
      description: "Write the records to a file after each case; its ending names the format",
    },
    svg: {
      type: "string",
      valueHint: "file",
      description:
        "Draw speed-ups: of layers against batch, of --preset all against depth and trees; of models tokens a second",
    },
    roofline: { type: "boolean", description: "Also draw how near contenders come to the machine's limits" },
    db: { type: "string", valueHint: "file", description: "Append the records to an SQLite database" },
    fields: { type: "boolean", description: "List the fields of records, and what they mean" },
  }),
} as const satisfies Args;

const isModelDtype = (dtype: string): dtype is Dtype => dtype === "f32" || dtype === "int8";
const isRowDtype = (dtype: string): dtype is RowDtype => Object.hasOwn(ROW_DTYPES, dtype);

/** The dtypes of models, and of the rows of trees. */
function toDtypes(dtypes: readonly string[], on: Plan["on"]): Pick<Plan, "dtypes" | "rowDtypes"> {
  const ofModels = on ? [] : dtypes.filter(isModelDtype);
  const ofRows = on ? [] : dtypes.filter(isRowDtype);
  return {
    dtypes: ofModels.length > 0 ? ofModels : undefined,
    rowDtypes: ofRows.length > 0 ? ofRows : ["f32"],
  };
}

/** @throws UsageError for a dtype that nothing in the plan has */
function checkDtypes({ dtype: dtypes }: Values<typeof ARGS>, { on, shapes, models }: Plan): void {
  if (on) return;
  for (const dtype of dtypes) {
    if (dtype === "f16") throw new UsageError("--dtype f16 is for --device cuda; add that, or drop it");
    if (!isModelDtype(dtype) && !shapes.some(walks)) {
      throw new UsageError(
        `--dtype ${dtype} is for layers with trees deeper than 3, or for --device cuda; drop it`,
      );
    }
    if (!isRowDtype(dtype) && models.length === 0) {
      throw new UsageError(`--dtype ${dtype} is for whole models; add --model, or drop it`);
    }
  }
}

/** A plan that owns the model its paths come from. */
export type DisposablePlan = Plan & Disposable;

/** @throws UsageError for flags that do not fit together; UffbError for files that cannot be read */
export async function toPlan(
  args: Values<typeof ARGS>,
  blas: Plan["blas"],
  on?: Plan["on"],
): Promise<DisposablePlan> {
  const plan = await crossFlags(args, blas, on);
  try {
    checkDtypes(args, plan);
    return plan;
  } catch (error) {
    plan[Symbol.dispose]();
    throw error;
  }
}

async function crossFlags(
  args: Values<typeof ARGS>,
  blas: Plan["blas"],
  on: Plan["on"],
): Promise<DisposablePlan> {
  const { quick, preset: name } = args;
  const [cache, other] = (["rotated", "cold", "warm"] as const).filter((flag) => args[flag]);
  if (other !== undefined) throw new UsageError(`--${cache} and --${other} exclude each other; drop one`);
  const shapeFlags = (["hidden", "trees", "depth", "width"] as const).filter(
    (flag) => args[flag] !== undefined,
  );
  if (name !== undefined && shapeFlags.length > 0) {
    throw new UsageError(`--preset names a whole shape; drop it, or --${shapeFlags[0]}`);
  }
  const real = args.paths === "real";
  if (args.text !== undefined && !real)
    throw new UsageError("--text is for --paths real; add that, or drop it");
  const models = name === "all" ? PAPER_SHAPES.map(shapeName) : real ? [] : args.model;
  const list: List = (flag, fallback, min, max) => parseGrid(args[flag] ?? fallback, `--${flag}`, min, max);
  const plan = {
    on,
    models,
    batches: list(
      "batch",
      name === "all" ? "1,1024" : quick ? "1,128,1024" : "1,16,128,1024,16384",
      1,
      1 << 24,
    ),
    modelBatches: models.length > 0 ? list("batch", name === "all" ? "1" : "1,8", 1, 1 << 16) : [],
    lengths: list("length", "128", 1, 1 << 20),
    threads: list("threads", "1", 0, 1024),
    levels: args.level.length > 0 ? args.level : [1, 2, 3],
    cache: cache ?? "auto",
    blas,
    asPublished: args.asPublished,
    ...toDtypes(args.dtype, on),
    seconds: args.seconds ?? (quick ? 2 : name === "all" ? 5 : 15),
  } as const;
  if (real) return withRealPaths(args, plan, [...shapeFlags, ...(name === undefined ? [] : ["preset"])]);
  const isLayers = args.model.length === 0;
  const shape = name === undefined ? shapes(list) : name === "all" ? PAPER_SHAPES : [preset(name)];
  return {
    ...plan,
    shapes: isLayers ? shape : [],
    paths: args.paths === "skewed" ? "skewed" : "uniform",
    [Symbol.dispose]() {},
  };
}

/** A model's own layer and what it reads: it stays open as long as the plan. */
async function withRealPaths(
  { model: models, text }: Values<typeof ARGS>,
  plan: Omit<Plan, "shapes" | "paths">,
  shapeFlags: readonly string[],
): Promise<DisposablePlan> {
  if (shapeFlags.length > 0) {
    throw new UsageError(`--paths real has the shape of its model; drop --${shapeFlags[0]}`);
  }
  if (models.length > 1) throw new UsageError("--paths real takes one --model");
  const texts = text === undefined ? PLAIN_SENTENCES : await readLines(text);
  const model: Model = await openModel(models[0]);
  try {
    const paths = await readRealPaths(model, texts);
    const { hidden, trees, depth } = model.native.arch;
    const shape: LayerShape = { hidden, trees, depth, width: 0 };
    return { ...plan, shapes: [shape], paths, [Symbol.dispose]: () => model[Symbol.dispose]() };
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

/** Largest file of texts to take paths from, in bytes. */
const MAX_TEXTS = 2 ** 28;

async function readLines(path: string): Promise<string[]> {
  return decodeUtf8(await readNamed(path, MAX_TEXTS), path).split("\n");
}

/** The numbers that a flag lists, or those of its default. */
type List = (
  flag: "hidden" | "trees" | "depth" | "width" | "batch" | "length" | "threads",
  fallback: string,
  min: number,
  max: number,
) => number[];

/** Every combination of the lists; a dense layer has a width, one of trees a depth. */
function shapes(list: List): LayerShape[] {
  return list("hidden", "768", 1, 1 << 20).flatMap((hidden) =>
    list("trees", "1", 0, 1 << 24).flatMap((trees) =>
      trees > 0
        ? list("depth", "11", 0, 24).map((depth) => ({ hidden, trees, depth, width: 0 }))
        : list("width", "3072", 1, 1 << 24).map((width) => ({ hidden, trees: 0, depth: 0, width })),
    ),
  );
}
