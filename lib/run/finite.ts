import { largestMagnitude } from "../base/statistics.ts";
import type { Result } from "./heads.ts";

/** What is said of a result that is no number. */
export const NOT_FINITE =
  "the model gives NaN or infinity for it: weights are damaged, or too large to compute with";

/** Whether all are numbers of a magnitude below `limit`. */
export function areFinite(values: ArrayLike<number>, limit = Number.POSITIVE_INFINITY): boolean {
  for (let i = 0; i < values.length; i++) if (!(Math.abs(values[i]!) < limit)) return false;
  return true;
}

/**
 * What is wrong with a result, if something is. Weights and activations may overflow on any input, whatever was found of the stored weights,
 * and so each result is looked at.
 * @param limit a vector's elements must be less than this, in magnitude
 */
export function faultOf(result: Result, limit: number): string | undefined {
  if (!areFinite(numbersOf(result))) return NOT_FINITE;
  if (result.task !== "embed" || areFinite(result.vector, limit)) return undefined;
  const largest = largestMagnitude(result.vector);
  return `its vector holds ${largest.toPrecision(6)}, which --dtype f16 cannot; drop that for f32`;
}

/** All that the model computed for a result. */
function numbersOf(result: Result): ArrayLike<number> {
  switch (result.task) {
    case "fill-mask":
      return result.masks.flatMap(({ top }) => top.map(({ probability }) => probability));
    case "classify":
      return result.scores.map(({ logit }) => logit);
    case "regress":
      return [result.score, result.logit];
    case "tag":
      return result.entities.map(({ probability }) => probability);
    case "embed":
      return result.vector;
  }
}
