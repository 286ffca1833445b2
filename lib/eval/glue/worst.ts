import { crossEntropy } from "../losses.ts";
import type { Evaluation } from "./evaluate.ts";

/** An example the model is wrong about. */
export interface WorstExample {
  index: number;
  label: string;
  prediction: string;
  /** Classes: -ln of the probability that the model gives the label. Scores: how far off it is. NaN logits: infinite. */
  loss: number;
  texts: string[];
}

/** The examples a model is most wrong about, worst first: wrong classes by loss, or scores by distance. */
export function worstExamples({ dataset, predictions }: Evaluation, count: number): WorstExample[] {
  const { task, examples } = dataset;
  const name = (value: number) => task.labels[value] ?? String(Number(value.toPrecision(6)));
  return predictions
    .map((p, i) => ({ ...p, texts: examples[i]!.texts, label: p.label!, loss: loss(p.label!, p.logits) }))
    .filter(({ prediction, label }) => prediction !== label)
    .sort((a, b) => b.loss - a.loss || a.index - b.index)
    .slice(0, count)
    .map(({ index, label, prediction, loss, texts }) => ({
      index,
      label: name(label),
      prediction: name(prediction),
      loss,
      texts,
    }));
}

function loss(label: number, logits: readonly number[]): number {
  if (logits.some((logit) => !Number.isFinite(logit))) return Number.POSITIVE_INFINITY;
  return logits.length === 1 ? Math.abs(logits[0]! - label) : crossEntropy(logits, label);
}
