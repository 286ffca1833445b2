import { probe } from "../ffi/bench.ts";
import { cudaDevices } from "../ffi/cuda.ts";
import { cpuCount } from "../ffi/engine.ts";
import { UsageError } from "../lib/base/errors.ts";
import { formatSeconds, largest, percent } from "../lib/base/numbers.ts";
import type { StatusLine } from "../lib/base/progress.ts";
import { align } from "../lib/base/table.ts";
import { type Term, termLines, wrap } from "../lib/base/wrap.ts";
import { environmentWarnings, findAll, findOne, installHint, OWN } from "../lib/bench/layer/blas.ts";
import { describeMachine, machineWarnings, measureRoofline } from "../lib/bench/measure/machine.ts";
import { type BenchRecord, COLUMNS } from "../lib/bench/measure/record.ts";
import type { Plan, Progress } from "../lib/bench/plan.ts";
import { toSvg } from "../lib/bench/report/chart/chart.ts";
import { append, compareRuns, openDatabase } from "../lib/bench/report/database.ts";
import { exportTo, replacing } from "../lib/bench/report/export.ts";
import { FORMATS } from "../lib/bench/report/formats.ts";
import { summaryText } from "../lib/bench/report/summary.ts";
import { LAYER_SPARE, MODEL_SPARE, toTable } from "../lib/bench/report/table.ts";
import { seconds as showSeconds } from "../lib/bench/report/units.ts";
import { run } from "../lib/bench/run.ts";
import { version } from "../package.json";
import { toDevicePlan } from "./bench/device.ts";
import { ARGS, toPlan } from "./bench/plan.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { outputColumns, print, statusLine, textColumns } from "./cli/terminal.ts";
import { commit } from "./cli/version.ts";

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
    "uffb bench --model 1x11 --batch 1,8 --length 128 --threads 1,2",
    "uffb bench --level 1 --level 3 --batch 1,16,128,1024-16384*4 --export results.json",
    "uffb bench --dtype f32 --dtype bf16 --batch 1,16384 --export layers.md",
    "uffb bench --preset all --svg shapes.svg",
    "uffb bench --paths real --model models/mine --text corpus.txt --batch 128,1024",
    "uffb bench --device cuda --dtype bf16 --batch 1,16,128,1024,16384",
    "uffb bench --quick --db results.db && uffb bench report results.db",
  ],
  sections: {
    "NARROW TERMINALS": [
      `Columns that do not fit are left out: of layers ${LAYER_SPARE.join(", ")}; of models ${MODEL_SPARE.join(", ")}; the first first.`,
    ],
  },
  exitCodes: { 1: "failure, or report found something slower" },

  async run({ args, positionals: [word, database] }) {
    if (word !== undefined) return report(word, database);
    if (args.fields) return listFields();
    const on = toDevicePlan(args);
    const blas = on ? [] : args.blas.length > 0 ? args.blas.map(findOne) : findAll();
    if (args.list) return on ? listDevices() : list(blas);
    using plan = await toPlan(args, blas, on);
    if (args.svg !== undefined && plan.models.length === 0 && !plan.shapes.some(({ trees }) => trees > 0)) {
      throw new UsageError("--svg draws models and layers with trees, and there are none; drop it");
    }
    if (args.roofline && args.svg === undefined)
      throw new UsageError("--roofline is part of the picture; add --svg, or drop it");
    const outputs = [
      ...(args.export === undefined ? [] : [exportTo(args.export)]),
      ...(args.svg === undefined ? [] : [replacing(args.svg, (records) => toSvg(records, args))]),
    ];
    using store = args.db === undefined ? undefined : openDatabase(args.db);
    warnBefore(plan);
    const records: BenchRecord[] = [];
    const line = statusLine();
    for await (const some of run(plan, { version, commit: commit() }, draw(line))) {
      records.push(...some);
      for (const write of outputs) await write(records);
      if (store) append(store, some);
    }
    line.clear();
    const format = args.format ?? "table";
    print(format === "table" ? tableAndSummary(records) : FORMATS[format](records));
    warnAfter(records, plan);
    return 0;
  },
});

function tableAndSummary(records: readonly BenchRecord[]): string {
  const summary = summaryText(records);
  const table = toTable(records, outputColumns());
  return summary === "" ? table : `${table}\n${wrap(summary, textColumns()).join("\n")}\n`;
}

function warnBefore(plan: Plan): void {
  if (plan.on) {
    if (plan.on.device.cublas === "" && plan.shapes.length > 0) messages.warn(NO_CUBLAS);
    return;
  }
  const warnings = machineWarnings(
    describeMachine(),
    largest(plan.threads.map((threads) => threads || cpuCount())),
  );
  for (const warning of [...environmentWarnings(), ...warnings]) messages.warn(warning);
  if (plan.shapes.length > 0 && plan.blas.every(({ name }) => name === OWN)) {
    messages.warn(
      `no BLAS library: our own dot, axpy, gemv and gemm stand in at each level, and our dense kernels are the baseline; ${installHint()}`,
    );
  }
}

const NO_CUBLAS =
  "no cuBLAS found, so our own dense kernels are the only baseline, and a weak one; install libcublas of the CUDA toolkit";

function warnAfter(records: readonly BenchRecord[], { threads, on }: Plan): void {
  const noisy = records.filter(({ outliers, samples }) => outliers > samples.length / 10).length;
  if (noisy > 0) {
    messages.warn(
      `${noisy} of ${records.length} rows have outliers in more than a tenth of their samples; end other programs, or give more --seconds`,
    );
  }
  if (on) return;
  // When weights come from memory, reading it limits both sides, and trees read less of it in the same ratio as they do less arithmetic.
  const impossible = records.filter(
    ({ cache, dtype, published, speedup_fastest_dense: got, speedup_limit: limit }) =>
      cache !== "warm" && dtype === "f32" && !published && got !== null && limit !== null && got > limit,
  );
  if (impossible.length > 0) {
    messages.warn(
      `${impossible.length} rows have a higher speed-up than arithmetic allows, so the caches were not equally cold for both sides; end other programs and run again`,
    );
  }
  // A CPU that throttles or is shared has another clock after the run than before.
  const before = records[0]?.peak_flops ?? 0;
  const after = measureRoofline(threads[0]!, 0.2).flops;
  if (Math.abs(after / before - 1) > 0.1) {
    messages.warn(
      `arithmetic runs at ${Math.round(100 * (after / before))}% of its speed before the run; fix the CPU frequency and end other programs, or compare ratios instead of times`,
    );
  }
}

function list(blas: Plan["blas"]): number {
  const { cpu, caches, isa, compiler } = describeMachine();
  const { flops, memory, l2 } = measureRoofline(1, 0.3);
  const int8 = probe("int8", 1, 0.3);
  const lines = [
    ["CPU", `${cpu}; ${isa}; caches ${caches.map((bytes) => `${bytes / 1024} KB`).join(", ")}`],
    ["compiler", compiler],
    [
      "one thread",
      `${Math.round(flops / 1e9)} GFLOP/s in f32, ${Math.round(int8 / 1e9)} GOP/s in int8; memory ${Math.round(memory / 1e9)} GB/s, L2 ${Math.round(l2 / 1e9)} GB/s`,
    ],
    ...blas.map(({ name, library: { version, path } }) => [name, path ? `${version} (${path})` : version]),
  ];
  print(`${align(lines).join("\n")}\n`);
  return 0;
}

function listDevices(): number {
  const version = (number: number) => `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`;
  const lines = cudaDevices().map(({ index, name, memory, l2, ...one }) => [
    `cuda:${index}`,
    `${name}; ${(memory / 1e9).toFixed(1)} GB, L2 ${(l2 / 1e6).toFixed(1)} MB; ${one.multiprocessors} multiprocessors of capability ${(one.capability / 10).toFixed(1)}; ` +
      `CUDA ${version(one.runtime)}, driver for ${version(one.driver)}, ${one.cublas || "no cuBLAS"}`,
  ]);
  print(`${align(lines).join("\n")}\n`);
  return 0;
}

function listFields(): number {
  const rows = Object.entries(COLUMNS).map(([name, [, meaning]]): Term => [name, meaning]);
  print(`${termLines(rows, { columns: textColumns(), indent: 0 }).join("\n")}\n`);
  return 0;
}

function report(word: string, database: string | undefined): number {
  if (word !== "report" || database === undefined) {
    throw new UsageError("bench takes no argument but `report` and a database: uffb bench report results.db");
  }
  const comparisons = compareRuns(database);
  const rows = comparisons.map(({ name, times, p, verdict }) => [
    verdict,
    percent(times[1] / times[0] - 1, 1),
    showSeconds(times[1]),
    `p ${p.toPrecision(2)}`,
    name,
  ]);
  print(`${align(rows, (column) => column === 1 || column === 2).join("\n")}\n`);
  return comparisons.some(({ verdict }) => verdict === "slower") ? 1 : 0;
}

/** Shows what runs, and how long all will take. */
function draw(line: StatusLine): (state: Progress) => void {
  const start = performance.now();
  return ({ done, total, share, name }) =>
    line.show((now) => {
      const part = (done + share) / total;
      const left = part > 0 ? ((now - start) / part) * (1 - part) : 0;
      return `${done + 1}/${total} ${name}, ${formatSeconds(left / 1000)} left`;
    });
}
