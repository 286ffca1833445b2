import { existsSync, renameSync, writeFileSync } from "node:fs";
import { environmentWarnings, findAll, findOne } from "../lib/bench/blas.ts";
import { append, compareRuns, openDatabase } from "../lib/bench/database.ts";
import { FORMATS, type Format, seconds as showSeconds, toTable } from "../lib/bench/formats.ts";
import { parseGrid } from "../lib/bench/grid.ts";
import { describeMachine, measureRoofline } from "../lib/bench/machine.ts";
import { type LayerShape, PAPER_SHAPES, preset } from "../lib/bench/presets.ts";
import type { BenchRecord } from "../lib/bench/record.ts";
import { type Plan, type Progress, run } from "../lib/bench/run.ts";
import { UffbError, UsageError } from "../lib/errors.ts";
import { version } from "../package.json";
import type { Args, Values } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { print, showsProgress } from "./cli/terminal.ts";

/** Set when the binary is compiled from a checkout; see build.ts. */
declare const UFFB_COMMIT: string | undefined;

const grid = (description: string) => ({ type: "string", valueHint: "list", description }) as const;

const ARGS = {
  level: {
    type: "number",
    integer: true,
    min: 1,
    max: 3,
    multiple: true,
    description: "BLAS level to compare at; default: 1, 2 and 3",
  },
  preset: {
    type: "string",
    valueHint: "name",
    description: "A shape of the paper, such as 1x11, or all of them",
  },
  model: {
    type: "string",
    valueHint: "preset|path",
    multiple: true,
    description: "Time whole encoders: a preset with random weights, or a checkpoint",
  },
  hidden: grid("Hidden size; lists are 768,1024, ranges 256-4096*2 or 1-9+2; default: 768"),
  trees: grid("Trees of the layer; 0 for a dense one; default: 1"),
  depth: grid("Depth of its trees; default: 11"),
  width: grid("Neurons of a dense layer, for --trees 0; default: 3072"),
  batch: grid(
    "Tokens of a layer's batch, or sequences of a model's; default: 1,16,128,1024,16384, of a model 1,8",
  ),
  length: grid("Tokens of a sequence, for --model; default: 128"),
  threads: grid("CPU threads; 0 for all that may be used; default: 1"),
  dtype: {
    type: "enum",
    options: ["f32", "int8"],
    multiple: true,
    description: "Weights of a model's projections; default: f32",
  },
  paths: {
    type: "enum",
    options: ["uniform", "skewed"],
    default: "uniform",
    description: "How random tokens fall: evenly, or nine in ten to the left",
  },
  asPublished: {
    type: "boolean",
    description: "Add the published benchmark's arithmetic, defects included",
  },
  cold: { type: "boolean", description: "Weights out of the caches before each call; default for batch 1" },
  warm: { type: "boolean", description: "Weights in the caches" },
  blas: {
    type: "string",
    valueHint: "name|path",
    multiple: true,
    description: "BLAS to compare with; default: every one that is found",
  },
  list: { type: "boolean", description: "List the BLAS libraries and what this machine can do" },
  seconds: { type: "number", min: 0, max: 3600, description: "Time for a case; default: 15" },
  quick: { type: "boolean", description: "A small run: 2 seconds a case, batches 1, 128 and 1024" },
  format: {
    type: "enum",
    options: ["table", "md", "csv", "json", "jsonl", "sql"],
    description: "Default: table",
  },
  export: {
    type: "string",
    valueHint: "file",
    description: "Write the records to a file after each case; its ending names the format",
  },
  db: { type: "string", valueHint: "file", description: "Append the records to an SQLite database" },
} as const satisfies Args;

export default command({
  meta: {
    name: "bench",
    description: "Time fast feedforward layers and encoders against the fastest dense ones",
  },
  positionals: [
    { name: "report", description: '"report" compares the runs in a database instead of making one' },
    { name: "database", description: "For report: a file that --db has filled" },
  ],
  args: ARGS,
  examples: [
    "uffb bench --quick",
    "uffb bench --level 1 --level 3 --batch 1,16,128,1024-16384*4 --export results.json",
    "uffb bench --model 1x11 --batch 1,8 --length 128 --threads 1,2",
    "uffb bench --preset all --batch 1024 --level 3",
    "uffb bench --quick --db results.db && uffb bench report results.db",
  ],

  async run({ args, positionals: [word, database] }) {
    if (word !== undefined) return report(word, database);
    const blas = args.blas.length > 0 ? args.blas.map(findOne) : findAll();
    if (args.list) return list(blas);
    for (const warning of environmentWarnings()) messages.warn(warning);
    if (blas.length === 0 && args.model.length === 0) {
      messages.warn(
        "no BLAS found, so our own dense kernels are the only baseline; Debian: apt-get install libopenblas0 libblis4 libdnnl3",
      );
    }
    const plan = toPlan(args, blas);
    const write = exportTo(args.export);
    using store = args.db === undefined ? undefined : openDatabase(args.db);
    const records: BenchRecord[] = [];
    const commit = typeof UFFB_COMMIT === "string" ? UFFB_COMMIT : null;
    for await (const some of run(plan, { version, commit }, showsProgress() ? draw() : () => {})) {
      records.push(...some);
      write(records);
      if (store) append(store, some);
    }
    if (showsProgress()) process.stderr.write("\r\x1b[K");
    const format = args.format ?? "table";
    print(format === "table" ? toTable(records) : FORMATS[format]!(records));
    const noisy = records.filter(({ outliers, samples }) => outliers > samples.length / 10).length;
    if (noisy > 0) {
      messages.warn(
        `${noisy} of ${records.length} rows have outliers in more than a tenth of their samples; quiet the machine, or give more --seconds`,
      );
    }
    return 0;
  },
});

function toPlan(args: Values<typeof ARGS>, blas: Plan["blas"]): Plan {
  const { quick, cold, warm, preset: name, model } = args;
  if (cold && warm) throw new UsageError("--cold and --warm exclude each other; drop one");
  if (
    name !== undefined &&
    (["hidden", "trees", "depth", "width"] as const).some((flag) => args[flag] !== undefined)
  ) {
    throw new UsageError("--preset names a whole shape; drop it, or --hidden, --trees, --depth and --width");
  }
  const list: List = (flag, fallback, min, max) => parseGrid(args[flag] ?? fallback, `--${flag}`, min, max);
  const batch = model.length > 0 ? "1,8" : quick ? "1,128,1024" : "1,16,128,1024,16384";
  return {
    shapes: name === "all" ? PAPER_SHAPES : name !== undefined ? [preset(name)] : shapes(list),
    models: model,
    batches: list("batch", batch, 1, 1 << 24),
    lengths: list("length", "128", 1, 1 << 20),
    threads: list("threads", "1", 0, 1024),
    levels: args.level.length > 0 ? args.level : [1, 2, 3],
    cache: cold ? "cold" : warm ? "warm" : "auto",
    paths: args.paths,
    blas,
    asPublished: args.asPublished,
    dtypes: args.dtype.length > 0 ? args.dtype : ["f32"],
    seconds: args.seconds ?? (quick ? 2 : 15),
  };
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

function list(blas: Plan["blas"]): number {
  const { cpu, caches, isa, compiler } = describeMachine();
  const { flops, memory, l2 } = measureRoofline(1, 0.3);
  const lines = [
    ["CPU", `${cpu}; ${isa}; caches ${caches.map((bytes) => `${bytes / 1024} KB`).join(", ")}`],
    ["compiler", compiler],
    [
      "one thread",
      `${Math.round(flops / 1e9)} GFLOP/s, memory ${Math.round(memory / 1e9)} GB/s, L2 ${Math.round(l2 / 1e9)} GB/s`,
    ],
    ...blas.map(({ name, library }) => [name, `${library.version} (${library.path})`]),
  ];
  print(lines.map(([name, text]) => `${name!.padEnd(10)}  ${text}\n`).join(""));
  return 0;
}

function report(word: string, database: string | undefined): number {
  if (word !== "report" || database === undefined) {
    throw new UsageError(
      "the only word that bench takes is report, and a database after it: uffb bench report results.db",
    );
  }
  const comparisons = compareRuns(database);
  const rows = comparisons.map(({ name, times, p, verdict }) =>
    [
      verdict.padEnd(6),
      `${((times[1] / times[0] - 1) * 100).toFixed(1)}%`.padStart(7),
      showSeconds(times[1]).padStart(9),
      `p ${p.toPrecision(2)}`.padEnd(10),
      name,
    ].join("  "),
  );
  print(`${rows.join("\n")}\n`);
  return comparisons.some(({ verdict }) => verdict === "slower") ? 1 : 0;
}

/** Opens the file before the run, and replaces it as a whole after each case. */
function exportTo(path: string | undefined): (records: readonly BenchRecord[]) => void {
  if (path === undefined) return () => {};
  const ending = path.slice(path.lastIndexOf(".") + 1) as Format;
  const format = FORMATS[ending];
  if (format === undefined)
    throw new UsageError(
      `--export ${path}: end it in ${Object.keys(FORMATS)
        .map((name) => `.${name}`)
        .join(", ")}`,
    );
  const temporary = `${path}.${process.pid}.tmp`;
  const write = (records: readonly BenchRecord[]) => {
    try {
      writeFileSync(temporary, format(records));
      renameSync(temporary, path);
    } catch (error) {
      throw new UffbError(`--export ${path}: ${(error as Error).message}`);
    }
  };
  if (!existsSync(path)) write([]);
  return write;
}

/** One line that is drawn over: what runs, and how long it will take. */
function draw(): (state: Progress) => void {
  const start = performance.now();
  let last = 0;
  return ({ done, total, share, name }) => {
    const now = performance.now();
    if (now - last < 100) return;
    last = now;
    const part = (done + share) / total;
    const left = part > 0 ? ((now - start) / part) * (1 - part) : 0;
    process.stderr.write(`\r\x1b[K${done + 1}/${total} ${name}, ${Math.ceil(left / 1000)} s left`);
  };
}
