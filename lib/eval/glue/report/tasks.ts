import { count } from "../../../base/numbers.ts";
import { printable } from "../../../base/printable.ts";
import { TASKS } from "../../../data/tasks.ts";
import { METRICS } from "../../metrics.ts";
import type { Evaluation } from "../evaluate.ts";
import type { TaskReport } from "../glue.ts";
import { AVERAGED, average, PUBLISHED } from "../published.ts";
import type { WorstExample } from "../worst.ts";
import { engine, points, table } from "./table.ts";

/**
 * What `uffb glue --json` prints:
 *
 *     tasks      array    one object a task:
 *       task, split, model, files
 *       examples                     number   rows that were read
 *       unreadable                   array    { line, error, file } of each row that was not
 *       metrics                      array    { metric, value, interval }, the task's score first; value and the 95% bounds are null
 *                                             where they are not defined
 *       score                        number   value of the first
 *       seconds, tokens              number   of the engine's work; padding is not counted
 *       examples_per_second, tokens_per_second
 *       longest, truncated           number   tokens of the longest input; inputs that were cut
 *       fixed_length                 boolean
 *       cosine                       boolean  scores are cosines of vectors, not a head's
 *       threads, instances, isa
 *       device                       string   where the encoder ran, when that was not the CPU; absent else
 *       dtype                        string   what it computed with there
 *       errors                       array    { index, label, prediction, loss, texts }, worst first; absent without --errors
 *       warnings                     array
 *     average    number   over the tasks of the paper's average, as there; null unless all are there
 *     published  array    { model, scores, average }, in points
 */
export function toJson(reports: readonly TaskReport[]): string {
  const tasks = reports.map(({ evaluation, worst }) => {
    const { dataset, run, metrics, predictions } = evaluation;
    const { seconds, tokens, threads, instances, isa, device, fixedLength } = run;
    return {
      task: dataset.task.name,
      split: dataset.split,
      model: evaluation.model,
      files: dataset.files,
      examples: predictions.length,
      unreadable: dataset.bad,
      metrics,
      score: metrics[0]!.value,
      seconds,
      tokens,
      examples_per_second: predictions.length / seconds,
      tokens_per_second: tokens / seconds,
      longest: evaluation.longest,
      truncated: evaluation.truncated,
      fixed_length: fixedLength,
      cosine: evaluation.cosine,
      threads,
      instances,
      isa,
      ...(device && { device: device.name, dtype: device.dtype }),
      ...(worst.length > 0 && { errors: worst }),
      warnings: evaluation.warnings,
    };
  });
  return `${JSON.stringify({ tasks, average: average(scoresOf(reports)) ?? null, published: PUBLISHED }, null, 2)}\n`;
}

function scoresOf(reports: readonly TaskReport[]): Map<string, number> {
  return new Map(
    reports.map(({ evaluation }) => [evaluation.dataset.task.name, evaluation.metrics[0]!.value]),
  );
}

/**
 * Each task's metrics and speed, then its scores in the paper's table, then the worst examples that were asked for; within the columns of
 * a terminal, if there is one.
 */
export function toText(reports: readonly TaskReport[], columns?: number): string {
  const parts = [
    metricTable(reports, columns),
    paperTable(modelName(reports), scoresOf(reports), columns),
    ...reports.flatMap(({ evaluation, worst }) => worstTable(evaluation, worst, columns)),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

/** Columns that a narrow terminal leaves out, the first first. */
export const SPARE_METRICS = ["length", "ISA", "tokens/s", "engine", "examples/s", "95% interval"];

function metricTable(reports: readonly TaskReport[], columns: number | undefined): string {
  const rows = reports.flatMap(({ evaluation }) => {
    const { dataset, run, metrics, predictions } = evaluation;
    const speed = [
      count(predictions.length),
      count(predictions.length / run.seconds),
      count(run.tokens / run.seconds),
      engine(run),
      run.fixedLength ? "fixed" : "dynamic",
      run.isa,
    ];
    return metrics.map(({ metric, value, interval: [low, high] }, m) => {
      const bounds = Number.isNaN(low) ? "–" : `${points(low)} to ${points(high)}`;
      const scores = [METRICS[metric].title, points(value), bounds];
      return m === 0 ? [dataset.task.title, ...scores, ...speed] : ["", ...scores];
    });
  });
  return table(
    [
      "task",
      "metric",
      "score",
      "95% interval",
      "examples",
      "examples/s",
      "tokens/s",
      "engine",
      "length",
      "ISA",
    ],
    rows,
    { columns, spare: SPARE_METRICS },
  );
}

/** The row of these scores among the published ones; empty when no task of the table was run. */
export function paperTable(model: string, scores: ReadonlyMap<string, number>, columns?: number): string {
  const tasks = TASKS.filter(({ name }) => scores.has(name) && (AVERAGED.includes(name) || name === "cola"));
  if (tasks.length === 0) return "";
  const row = (name: string, score: (task: string) => number | undefined, mean: number | undefined) => [
    name,
    ...[...tasks.map((task) => score(task.name)), mean].map((value) =>
      value === undefined || Number.isNaN(value) ? "–" : value.toFixed(1),
    ),
  ];
  const mean = average(scores);
  const rows = [
    row(model, (task) => 100 * scores.get(task)!, mean === undefined ? undefined : 100 * mean),
    ...PUBLISHED.map((published) =>
      row(published.model, (task) => published.scores[task], published.average),
    ),
  ];
  const head = ["model", ...tasks.map(({ title }) => title), "average"];
  return table(head, rows, { columns, cut: "model" });
}

/** What the models of some reports are called together. */
export function modelName(reports: readonly TaskReport[]): string {
  const models = new Set(reports.map(({ evaluation }) => evaluation.model));
  return models.size === 1 ? [...models][0]! : "this run";
}

function worstTable(
  { dataset }: Evaluation,
  worst: readonly WorstExample[],
  columns: number | undefined,
): string[] {
  if (worst.length === 0) return [];
  const rows = worst.map(({ index, label, prediction, loss, texts }) => [
    String(index),
    label,
    prediction,
    loss.toFixed(3),
    texts.map((text) => printable(text.trim())).join(" | "),
  ]);
  return [table([dataset.task.title, "label", "prediction", "loss", "text"], rows, { columns, cut: "text" })];
}
