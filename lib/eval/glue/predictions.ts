import { UffbError } from "../../base/errors.ts";
import { isObject, tryJson } from "../../base/json.ts";
import { largest } from "../../base/numbers.ts";
import { linesOf } from "../../rows/lines.ts";

/** What a model said about one example. */
export interface Prediction {
  /** 0-based row of the split. */
  index: number;
  /** Class number, or score of a regression; absent for test sets. */
  label?: number;
  /** The class of the largest logit (the first of equal ones), or the score; NaN when a logit is. */
  prediction: number;
  logits: number[];
  /** Which question it belongs to, where several examples make one. */
  group?: string;
}

/** The best class, or the one score of a regression. */
export function predict(logits: readonly number[]): number {
  if (logits.some((logit) => !Number.isFinite(logit))) return Number.NaN;
  return logits.length === 1 ? logits[0]! : logits.indexOf(largest(logits));
}

/**
 * One JSON object a line: index, label, prediction, logits, and group where examples have one. Nine digits identify the model's f32; NaN becomes null.
 */
export function predictionLines(predictions: readonly Prediction[]): string {
  const nine = (value: number) => Number(value.toPrecision(9));
  return predictions
    .map(({ index, label, prediction, logits, group }) => {
      const line = { index, label, prediction: nine(prediction), logits: logits.map(nine), group };
      return `${JSON.stringify(line)}\n`;
    })
    .join("");
}

/**
 * Reads what predictionLines wrote. @throws UffbError naming the line that is not a labelled prediction, or repeats an index.
 */
export function parsePredictions(bytes: Uint8Array, source: string): Prediction[] {
  const seen = new Set<number>();
  const predictions: Prediction[] = [];
  for (const row of linesOf(bytes)) {
    const { line } = row;
    if ("text" in row && row.text === "") continue;
    const prediction = "text" in row ? parse(row.text) : undefined;
    if (prediction === undefined) {
      throw new UffbError(
        `${source}:${line}: not {"index", "label", "prediction", "logits"}; write it with glue --predictions`,
      );
    }
    if (seen.has(prediction.index))
      throw new UffbError(`${source}:${line}: index ${prediction.index} comes twice`);
    seen.add(prediction.index);
    predictions.push(prediction);
  }
  if (predictions.length === 0)
    throw new UffbError(`${source}: no predictions; write it with glue --predictions`);
  return predictions;
}

function parse(text: string): Prediction | undefined {
  const read = tryJson(text);
  if (!("value" in read) || !isObject(read.value)) return undefined;
  const { value } = read;
  const { index, label, logits, group } = value;
  const prediction = value.prediction === null ? Number.NaN : value.prediction;
  const numbers = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((n) => n === null || typeof n === "number");
  if (!Number.isSafeInteger(index) || (index as number) < 0) return undefined;
  if (typeof label !== "number" || typeof prediction !== "number") return undefined;
  if (!numbers(logits) || logits.length === 0) return undefined;
  const classes = logits.length;
  const isClass = (n: number) => Number.isInteger(n) && n >= 0 && n < classes;
  if (classes > 1 && !(isClass(label) && (Number.isNaN(prediction) || isClass(prediction)))) return undefined;
  if (group !== undefined && typeof group !== "string") return undefined;
  return {
    index: index as number,
    label,
    prediction,
    logits: logits.map((logit) => logit ?? Number.NaN),
    ...(group !== undefined && { group }),
  };
}
