import type { Dataset } from "../../data/load.ts";
import type { MetricName } from "../../data/tasks.ts";
import type { Model } from "../../model/model.ts";
import { type Interval, interval, resample } from "../bootstrap.ts";
import { METRICS, numberGroups, type Scored, score } from "../metrics.ts";
import { encodeExample, MAX_LENGTH } from "./encode.ts";
import { matchLabels } from "./labels.ts";
import { type Prediction, predict } from "./predictions.ts";
import { type Input, type Run, type RunOptions, run } from "./run.ts";

export interface EvaluateOptions extends Omit<RunOptions, "padTo" | "head"> {
  /** Pads every input to the maximum; see RunOptions.padTo. */
  fixedLength?: boolean;
  /** Take labels whose names are not the task's in the order of its classes. */
  force?: boolean | undefined;
}

export interface MetricValue {
  metric: MetricName;
  /** NaN where it is not defined. */
  value: number;
  /** 95%, bootstrap. */
  interval: Interval;
}

export interface Evaluation {
  dataset: Dataset;
  /** Where the model is. */
  model: string;
  /** In the order of the examples; logits in the order of the task's classes. */
  predictions: Prediction[];
  /** All the metrics of the task, its score first; none for a test set. */
  metrics: MetricValue[];
  run: Omit<Run, "logits"> & { fixedLength: boolean };
  /** Tokens of the longest input. */
  longest: number;
  /** Examples cut to the maximum. */
  truncated: number;
  /** Scores are the cosine of the two texts' vectors, not a head's. */
  cosine: boolean;
  warnings: string[];
}

/** A split as a model reads it. */
export interface Prepared {
  inputs: Input[];
  /** The model's label of each class of the task. */
  order: number[];
  /** Most tokens an input may have. */
  maximum: number;
  /** Tokens of the longest. */
  longest: number;
  truncated: number;
  warnings: string[];
}

/** Tokenises a split. @throws UffbError when the model's head is not the one the task needs */
export function prepare(model: Model, { task, examples, warnings }: Dataset, force?: boolean): Prepared {
  const { order, warning } = matchLabels(task, model, force);
  const { maxLength, tokenTypes } = model.config.arch;
  const maximum = Math.min(MAX_LENGTH, maxLength);
  const tokenizer = model.tokenizer();
  const encodings = examples.map(({ texts }) =>
    encodeExample(tokenizer, texts, maximum, model.config.family),
  );
  return {
    inputs: encodings.map(({ ids, types }) => (tokenTypes > 1 ? { ids, types } : { ids })),
    order,
    maximum,
    longest: encodings.reduce((most, { ids }) => Math.max(most, ids.length), 0),
    truncated: encodings.filter(({ dropped }) => dropped > 0).length,
    warnings: [...model.warnings, ...warnings, ...(warning === undefined ? [] : [warning])],
  };
}

/** Runs a model over a split and scores it. @throws UffbError when the model's head is not the one the task needs */
export async function evaluate(
  model: Model,
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { fixedLength = false, force, ...running } = options;
  const { inputs, order, maximum, longest, truncated, warnings } = prepare(model, dataset, force);
  const { logits, ...rest } = await run(model, inputs, {
    ...running,
    padTo: fixedLength ? maximum : undefined,
  });
  const predictions = dataset.examples.map(({ index, label, group }, i): Prediction => {
    const own = order.map((column) => logits[i * order.length + column]!);
    return {
      index,
      ...(label !== undefined && { label }),
      prediction: predict(own),
      logits: own,
      ...(group !== undefined && { group }),
    };
  });
  return scored(model, dataset, predictions, {
    run: { ...rest, fixedLength },
    longest,
    truncated,
    cosine: false,
    warnings,
  });
}

/** Predictions and what is known of their run, with their metrics. */
export function scored(
  model: Model,
  dataset: Dataset,
  predictions: Prediction[],
  about: Pick<Evaluation, "run" | "longest" | "truncated" | "cosine" | "warnings">,
): Evaluation {
  const missing = predictions.filter(({ prediction }) => Number.isNaN(prediction)).length;
  const warning = `${model.source} gives no number for ${missing} examples; they count as wrong`;
  return {
    ...about,
    dataset,
    model: model.source,
    predictions,
    metrics: dataset.split === "test" ? [] : scores(dataset, predictions),
    warnings: missing > 0 ? [...about.warnings, warning] : about.warnings,
  };
}

function scores({ task, examples }: Dataset, predictions: readonly Prediction[]): MetricValue[] {
  const all: Scored = {
    labels: Float64Array.from(predictions, ({ label }) => label!),
    predictions: Float64Array.from(predictions, ({ prediction }) => prediction),
  };
  if (task.group) all.groups = numberGroups(examples.map(({ group }) => group!));
  const metrics = task.metrics.map((name) => METRICS[name].of(all));
  const values = resample(predictions.length, metrics, all.groups);
  return task.metrics.map((metric, m) => ({
    metric,
    value: score(metric, all),
    interval: interval(values[m]!),
  }));
}
