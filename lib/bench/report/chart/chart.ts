/** Charts of records as SVG: of layers, of shapes side by side, and of whole models. */
import { svgDocument } from "../../../base/svg.ts";
import type { BenchRecord } from "../../measure/record.ts";
import { caseName } from "../table.ts";
import { seconds, significant } from "../units.ts";
import { HEIGHT, type Line, type LineChart, lineChart, WIDTH } from "./lines.ts";
import { rooflineChart } from "./roofline.ts";

export interface ChartOptions {
  /** Also show how near to the machine's limits contenders come. */
  roofline?: boolean;
}

/** Shapes from which on there is one chart of all shapes, not one each. */
const SEVERAL_SHAPES = 3;

/** A chart below the other. Before the first layer with trees or model is measured there is none. */
export function toSvg(records: readonly BenchRecord[], { roofline = false }: ChartOptions = {}): string {
  const shown = records.filter(({ paths, published }) => paths !== "zero" && !published);
  const layers = shown.filter(({ kind }) => kind === "layer");
  const models = shown.filter(({ kind, padded }) => kind === "model" && !padded);
  const charts = [
    ...places(layers).flatMap((group) => layerCharts(group, models)),
    ...(isOverview(layers) ? [] : places(models).map(modelChart)),
  ].map(lineChart);
  const roofs = roofline ? places(layers).flatMap((group) => byShape(group).flatMap(rooflineChart)) : [];
  const all = [...charts, ...roofs];
  const body = all.map((chart, i) => `<g transform="translate(0 ${i * HEIGHT})">\n${chart.join("\n")}\n</g>`);
  return svgDocument(
    WIDTH,
    Math.max(1, all.length) * HEIGHT,
    "Speed of fast feedforward layers and models",
    body,
  );
}

/** Records that were measured on one thing: of a hidden size, a number of threads, a device and the dtype there. */
function places(records: readonly BenchRecord[]): BenchRecord[][] {
  const groups = Map.groupBy(records, ({ kind, hidden, threads, device, dtype }) =>
    [kind === "layer" ? hidden : "", threads, device, device && inputDtype(dtype)].join("\n"),
  );
  return [...groups.values()];
}

/** Multiplications in tf32 are of f32 numbers, and stand beside those in f32. */
const inputDtype = (dtype: BenchRecord["dtype"]) => (dtype === "tf32" ? "f32" : dtype);

const byShape = (records: readonly BenchRecord[]) => [
  ...Map.groupBy(records, ({ case_shape }) => case_shape).values(),
];

const isFff = ({ trees }: BenchRecord) => trees > 0;
const hasBaseline = ({ speedup_fastest_dense: got }: BenchRecord) => got !== null;

/** "AMD EPYC, 1 thread" */
function placeOf({ machine, device, threads, dtype }: BenchRecord): string {
  if (device !== null) return `${device}, ${inputDtype(dtype)}`;
  return `${machine.cpu}, ${threads} thread${threads === 1 ? "" : "s"}`;
}

const isOverview = (layers: readonly BenchRecord[]) =>
  new Set(layers.filter(isFff).map(({ case_shape }) => case_shape)).size >= SEVERAL_SHAPES;

function layerCharts(group: readonly BenchRecord[], models: readonly BenchRecord[]): LineChart[] {
  const compared = byShape(group).filter((some) => some.some((one) => isFff(one) && hasBaseline(one)));
  return isOverview(group) ? [shapesChart(compared.flat(), models)] : compared.map(layerChart);
}

/** What lines of layers are: who computes it. Our own kernels in other dtypes than f32 have a line of their own. */
const LAYER_LINES: readonly { name(record: BenchRecord): string; has(record: BenchRecord): boolean }[] = [
  {
    name: () => "FFF",
    has: ({ level, dtype, device }) => level === 0 && (device !== null || dtype === "f32"),
  },
  {
    name: ({ dtype }) => `FFF, rows in ${dtype}`,
    has: ({ level, dtype, device }) => level === 0 && device === null && dtype !== "f32",
  },
  {
    name: ({ device }) => (device === null ? "FFF from BLAS calls" : "FFF from cuBLAS calls"),
    has: ({ level }) => level > 0,
  },
];

const bestOf = (records: readonly BenchRecord[]) =>
  records.reduce<BenchRecord | undefined>(
    (best, one) => (best && best.seconds_per_token <= one.seconds_per_token ? best : one),
    undefined,
  );

/** "266x", "2.7x" */
const times = (value: number) => `${value >= 100 ? Math.round(value) : Number(value.toPrecision(2))}x`;

/** A line through the best of each case, as times the speed of the fastest dense one. */
function speedupLine(name: string, cases: readonly (readonly BenchRecord[])[]): Line {
  const values = cases.map((some) => bestOf(some.filter(hasBaseline))?.speedup_fastest_dense ?? null);
  return { name, values, notes: values.map((value) => (value === null ? "" : times(value))) };
}

const isEmpty = ({ values }: Line) => values.every((value) => value === null);

function layerLines(records: readonly BenchRecord[], cases: readonly (readonly BenchRecord[])[]): Line[] {
  return LAYER_LINES.flatMap(({ name, has }) => {
    const first = records.find((one) => isFff(one) && has(one));
    if (!first) return [];
    const line = speedupLine(
      name(first),
      cases.map((some) => some.filter((one) => isFff(one) && has(one))),
    );
    return isEmpty(line) ? [] : [line];
  });
}

/** Speed-up against batch, of one shape. */
function layerChart(records: readonly BenchRecord[]): LineChart {
  const { case_shape, hidden, speedup_limit: limit } = records.find((one) => isFff(one) && hasBaseline(one))!;
  const cases = Map.groupBy(records, caseName);
  const dense = [...cases.values()].map((some) => bestOf(some.filter((one) => !isFff(one))));
  const line = layerLines(records, [...cases.values()]);
  return {
    title: `Feedforward layer ${case_shape}, hidden ${hidden}: how many times as fast as the fastest dense layer`,
    subtitle: `${placeOf(records[0]!)}; the dense one takes ${range(dense.flatMap((one) => (one ? [one.seconds_per_token] : [])))} a token`,
    x: "tokens in a batch; rotated, cold: with weights from memory",
    y: "times as fast",
    cases: [...cases.keys()].map((name) => name.replace(/ \d+ threads/, "")),
    lines: line,
    rules: [
      { at: 1, name: "fastest dense" },
      ...(limit === null ? [] : [{ at: limit, name: `limit of arithmetic, ${significant(limit)}x` }]),
    ],
  };
}

function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)].map(seconds);
  return least === most ? least! : `${least} to ${most}`;
}

/** Speed-up against depth and trees: a line for each case of layers, and one of whole models. */
function shapesChart(records: readonly BenchRecord[], models: readonly BenchRecord[]): LineChart {
  const fff = records.filter((one) => isFff(one) && one.shape === one.case_shape);
  const shapes = [...Map.groupBy(fff, ({ shape }) => shape)].sort(
    ([, [a]], [, [b]]) => a!.depth - b!.depth || b!.trees - a!.trees,
  );
  const names = shapes.map(([shape]) => shape);
  const line = (name: string, some: readonly BenchRecord[]) =>
    speedupLine(
      name,
      names.map((shape) => some.filter((one) => one.shape === shape)),
    );
  const limits = shapes.map(
    ([, some]) => some.find(({ speedup_limit }) => speedup_limit !== null)?.speedup_limit ?? null,
  );
  return {
    title: "Speed against depth and trees: how many times as fast as the fastest dense one",
    subtitle: `hidden ${fff[0]!.hidden}; ${placeOf(fff[0]!)}`,
    x: "trees x depth",
    y: "times as fast",
    cases: names,
    lines: [
      ...[...Map.groupBy(fff, caseName)].map(([name, some]) => line(`layer, ${plainCase(name)}`, some)),
      ...[...Map.groupBy(models.filter(isFff), caseName)].map(([name, some]) =>
        line(`whole model, ${name}`, some),
      ),
      { name: "limit of arithmetic", values: limits },
    ].filter((one) => !isEmpty(one)),
    rules: [{ at: 1, name: "fastest dense" }],
  };
}

const plainCase = (name: string) =>
  /^1\b/.test(name) ? name.replace(/^1/, "1 token") : name.replace(/^(\d+)/, "$1 tokens");

/** Tokens a second of whole models. */
function modelChart(records: readonly BenchRecord[]): LineChart {
  const cases = Map.groupBy(records, caseName);
  const lines = [...Map.groupBy(records, ({ contender }) => contender)].map(([name, own]): Line => {
    const best = [...cases.keys()].map((one) => bestOf(own.filter((record) => caseName(record) === one)));
    return {
      name,
      values: best.map((one) => one?.tokens_per_s ?? null),
      notes: best.map((one) => (one?.speedup_fastest_dense ? times(one.speedup_fastest_dense) : "")),
    };
  });
  return {
    title: "Whole models: tokens a second, and how many times as fast as the dense model of the same dtype",
    subtitle: placeOf(records[0]!),
    x: "sequences x tokens of each",
    y: "tokens a second",
    cases: [...cases.keys()],
    lines,
  };
}
