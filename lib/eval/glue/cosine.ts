import { UffbError } from "../../base/errors.ts";
import type { Dataset } from "../../data/load.ts";
import type { Task } from "../../data/tasks.ts";
import type { Model } from "../../model/model.ts";
import { dot, normaliseRows } from "../../run/normalise.ts";
import { encodeText, longest } from "../../run/prepare.ts";
import { promptFor } from "../../run/prompt.ts";
import { vectorMaker } from "../../run/vectors.ts";
import { type EvaluateOptions, type Evaluation, scored } from "./evaluate.ts";
import type { Prediction } from "./predictions.ts";
import { run } from "./run.ts";

/** Whether a task scores how alike two texts are, which the cosine of their vectors can predict. */
export function takesCosine({ labels, texts }: Task): boolean {
  return labels.length === 0 && texts.length === 2;
}

/**
 * Scores an embedding model without fine-tuning: the prediction for two texts is the cosine of their vectors. These are made as `infer` with
 * `embed` makes them.
 * @throws UffbError when the task is no score of two texts
 */
export async function evaluateCosine(
  model: Model,
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { task, examples } = dataset;
  if (!takesCosine(task)) throw new UffbError(`${task.title} does not score two texts, as --cosine needs`);
  const { tokenTypes } = model.config.arch;
  const sentence = model.sentence();
  const maxLength = longest(model, sentence);
  const tokenizer = model.tokenizer();
  const prompt = promptFor(model, { embeds: true });
  const { width, read } = vectorMaker(model);
  const encodings = examples.flatMap(({ texts }) =>
    texts.map((text) => encodeText(tokenizer, text, { sentence, prompt }, { maxLength })),
  );
  const inputs = encodings.map(({ ids, types }) => (tokenTypes > 1 ? { ids, types } : { ids }));
  const { fixedLength: _, onProgress, ...running } = options;
  const { logits: vectors, ...rest } = await run(model, inputs, {
    ...running,
    onProgress: onProgress && ((done) => onProgress(Math.floor(done / 2))),
    head: { width, read },
  });
  normaliseRows(vectors, width);
  const vector = (i: number) => vectors.subarray(i * width, (i + 1) * width);
  const predictions = examples.map(({ index, label }, i): Prediction => {
    const cosine = dot(vector(2 * i), vector(2 * i + 1));
    return { index, ...(label !== undefined && { label }), prediction: cosine, logits: [cosine] };
  });
  return scored(model, dataset, predictions, {
    run: { ...rest, fixedLength: false },
    longest: encodings.reduce((most, { ids }) => Math.max(most, ids.length), 0),
    truncated: examples.filter((_, i) => encodings[2 * i]!.dropped + encodings[2 * i + 1]!.dropped > 0)
      .length,
    cosine: true,
    warnings: [...model.warnings, ...dataset.warnings],
  });
}
