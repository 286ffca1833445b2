/** Records as a table for people. */
import { percent } from "../../base/numbers.ts";
import { fitTable } from "../../base/table.ts";
import type { BenchRecord } from "../measure/record.ts";
import { seconds, significant } from "./units.ts";

export interface Table {
  head: readonly string[];
  rows: string[][];
  /** Columns that a narrow terminal leaves out, the first first. */
  spare: readonly string[];
  /** The column that is then cut. */
  cut: string;
}

const LAYER_HEAD = [
  "shape",
  "contender",
  "batch",
  "time/token",
  "vs level",
  "vs dense",
  "of limit",
  "GFLOP/s",
  "GB/s",
  "of bound",
  "error",
] as const;
/** Columns that a narrow terminal leaves out, the first first. */
export const LAYER_SPARE = ["error", "GB/s", "of bound", "GFLOP/s", "of limit", "vs level"];
const MODEL_HEAD = [
  "model",
  "contender",
  "batch",
  "p50",
  "p90",
  "p99",
  "tokens/s",
  "vs dense",
  "of limit",
  "of bound",
];
export const MODEL_SPARE = ["of bound", "p99", "of limit", "p90"];
const OVERVIEW_HEAD = ["shape", "neurons", "a token", "layer", "vs dense", "model", "tokens/s", "vs dense"];
const OVERVIEW_SPARE = ["tokens/s", "a token", "neurons"];

export const times = (value: number | null) => (value === null ? "" : `${significant(value)}x`);
const share = (value: number | null) => (value === null ? "" : percent(value, 0));
const giga = (value: number | null) => (value === null ? "" : significant(value / 1e9));

/** Where a run has layers and models, each shape's best side by side; else a row for each record. */
export function tables(records: readonly BenchRecord[]): Table[] {
  const layers = records.filter(({ kind }) => kind === "layer");
  const models = records.filter(({ kind }) => kind === "model");
  if (layers.length > 0 && models.length > 0) return [overview(layers, models)];
  return [
    ...(layers.length > 0
      ? [{ head: LAYER_HEAD, rows: layers.map(layerRow), spare: LAYER_SPARE, cut: "contender" }]
      : []),
    ...(models.length > 0
      ? [{ head: MODEL_HEAD, rows: models.map(modelRow), spare: MODEL_SPARE, cut: "contender" }]
      : []),
  ];
}

export function caseName(record: BenchRecord): string {
  const size = record.length === null ? `${record.batch}` : `${record.batch}x${record.length}`;
  const notes = [
    record.cache === "warm" ? "" : record.cache,
    record.padded ? "padded" : "",
    (record.threads ?? 1) > 1 ? `${record.threads} threads` : "",
    record.paths === "uniform" ? "" : record.paths,
  ].filter((note) => note !== "");
  return [size, ...notes].join(" ");
}

/** A contender's name: who computes it, with which BLAS or instruction set, and in which dtype unless that is f32. A model's name has its dtype already. */
export function contenderName({ contender, kind, blas, isa, device, dtype }: BenchRecord): string {
  const shown = kind === "layer" && (device !== null || dtype !== "f32") ? dtype : "";
  return [contender, blas ?? isa ?? "", shown].filter((part) => part !== "").join(", ");
}

const startOf = (record: BenchRecord) => [record.shape, contenderName(record), caseName(record)];

/** Tokens that were timed, where those are not all of the batch. */
const sampleOf = ({ tokens, batch }: BenchRecord) => (tokens < batch ? ` (of ${tokens})` : "");

export const timePerToken = (record: BenchRecord) => seconds(record.seconds_per_token) + sampleOf(record);

/** A speed-up as a share of the speed-up by arithmetic alone. */
const ofLimit = ({ speedup_fastest_dense: got, speedup_limit: limit }: BenchRecord) =>
  share(got === null || limit === null ? null : got / limit);

function layerRow(record: BenchRecord): string[] {
  return [
    ...startOf(record),
    timePerToken(record),
    times(record.speedup_same_level),
    times(record.speedup_fastest_dense),
    ofLimit(record),
    giga(record.flops),
    giga(record.bytes_per_s),
    share(record.share_of_bound),
    record.error === null ? "" : record.error.toExponential(0),
  ];
}

function modelRow(record: BenchRecord): string[] {
  return [
    ...startOf(record),
    seconds(record.latency_p50),
    seconds(record.latency_p90),
    seconds(record.latency_p99),
    significant(record.tokens_per_s),
    times(record.speedup_fastest_dense),
    ofLimit(record),
    share(record.share_of_bound),
  ];
}

/** The fastest dtype, which rows are about. */
const inDtype = ({ device, dtype }: BenchRecord) =>
  device === null && dtype === "f32" ? "" : ` in ${dtype}`;

function overview(layers: readonly BenchRecord[], models: readonly BenchRecord[]): Table {
  const best = (records: readonly BenchRecord[], shape: string) =>
    records
      .filter((record) => record.shape === shape && !record.published && !record.padded)
      .reduce<BenchRecord | undefined>(
        (fastest, one) => (fastest && fastest.seconds_per_token <= one.seconds_per_token ? fastest : one),
        undefined,
      );
  // Not the dense layers beside a shape, but the shapes that cases are about, and the dense models.
  const own = [...layers.filter(({ shape, case_shape }) => shape === case_shape), ...models];
  const shapes = [...new Set(own.map(({ shape }) => shape))];
  const rows = shapes.map((shape) => {
    const layer = best(layers, shape);
    const model = best(models, shape);
    const { trees, depth, width } = (layer ?? model)!;
    return [
      shape,
      String(trees > 0 ? trees * (2 ** (depth + 1) - 1) : width),
      String(trees > 0 ? trees * (depth + 1) : width),
      layer ? `${seconds(layer.seconds_per_token)} at ${caseName(layer)}${inDtype(layer)}` : "",
      times(layer?.speedup_fastest_dense ?? null),
      model ? `${seconds(model.latency_p50)} at ${caseName(model)}${inDtype(model)}` : "",
      model ? significant(model.tokens_per_s) : "",
      times(model?.speedup_fastest_dense ?? null),
    ];
  });
  return { head: OVERVIEW_HEAD, rows, spare: OVERVIEW_SPARE, cut: "model" };
}

/** Text columns of a table; the others are numbers. */
export const TEXTS = 3;

/** Within the columns of a terminal, if there is one. */
export function toTable(records: readonly BenchRecord[], columns?: number): string {
  return tables(records)
    .map(({ head, rows, spare, cut }) => {
      const fit = { columns, spare, cut, right: (column: number) => column >= TEXTS };
      return `${fitTable(head, rows, fit).join("\n")}\n`;
    })
    .join("\n");
}
