import type { Kind, Target } from "../data/own/labels.ts";
import type { MetricName } from "../data/tasks.ts";
import { predict } from "../eval/glue/predictions.ts";
import { lossOf } from "../eval/losses.ts";
import { METRICS, type Scored, score } from "../eval/metrics.ts";

/** What an epoch is judged by: a metric, larger being better, or the loss. */
export type Judge = MetricName | "loss";

/** The metrics of each kind of task, the first being what a run is judged by when nobody says otherwise. */
export const METRICS_OF: Record<Kind, readonly MetricName[]> = {
  classification: ["accuracy", "macro-f1", "f1", "matthews"],
  "multi-label": ["f1", "exact-match", "accuracy"],
  regression: ["pearson", "spearman"],
};

/** The metrics that mean something: F1 and Matthews are of two classes. */
export function metricsOf(kind: Kind, classes: number): MetricName[] {
  return METRICS_OF[kind].filter(
    (name) => kind !== "classification" || classes === 2 || !["f1", "matthews"].includes(name),
  );
}

export interface Validation {
  /** Mean over the examples. */
  loss: number;
  /** NaN where a metric is not defined. */
  scores: Partial<Record<MetricName, number>>;
  /** [examples, outputs] */
  logits: Float32Array;
}

/** Whether a model is better than another: by the metric, or where that is the same (or no number), by the loss. */
export function isBetter(a: Judged, b: Judged | undefined, by: Judge): boolean {
  if (b === undefined) return true;
  const value = ({ loss, scores }: Judged) => {
    const found = by === "loss" ? -loss : (scores[by] ?? Number.NaN);
    return Number.isNaN(found) ? Number.NEGATIVE_INFINITY : found;
  };
  return value(a) === value(b) ? a.loss < b.loss : value(a) > value(b);
}

export type Judged = Pick<Validation, "loss" | "scores">;

export function metricTitle(name: Judge): string {
  return name === "loss" ? "loss" : METRICS[name].title;
}

/** Scores logits [examples, outputs]. `groups`: which examples make one question, for exact match. */
export function validation(
  kind: Kind,
  targets: readonly Target[],
  logits: Float32Array,
  metrics: readonly MetricName[],
  groups?: Int32Array,
): Validation {
  const width = logits.length / targets.length;
  const rows = targets.map((_, i) => logits.subarray(i * width, (i + 1) * width));
  const loss = rows.reduce((sum, row, i) => sum + lossOf(kind, row, targets[i]!), 0) / targets.length;
  const scored: Scored = {
    labels: Float64Array.from(targets.flat()),
    predictions: Float64Array.from(rows.flatMap((row) => predictions(kind, row))),
  };
  // Several labels: each is a yes or no of its own, and those of an example make one question.
  const owners =
    kind === "multi-label" ? targets.flatMap((target, i) => [target].flat().map(() => i)) : undefined;
  if (owners || groups) scored.groups = owners ? Int32Array.from(owners) : groups!;
  return { loss, logits, scores: Object.fromEntries(metrics.map((name) => [name, score(name, scored)])) };
}

/** What the logits of an example say: a class, a score, or 0 or 1 for each label. */
export function predictions(kind: Kind, logits: ArrayLike<number>): number[] {
  const row = Array.from(logits);
  if (kind === "multi-label")
    return row.map((logit) => (Number.isFinite(logit) ? Number(logit >= 0) : Number.NaN));
  return [predict(row)];
}
