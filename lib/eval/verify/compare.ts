import { largestMagnitude } from "../../base/statistics.ts";
import type { Stage } from "./expected.ts";

/** The result for one stored tensor. Rows are tokens, or sequences for `sentence` and a classifier's `logits`. */
export interface Report {
  name: string;
  /** Rows compared, and rows left out because a near-tie before them went the other way. */
  compared: number;
  skipped: number;
  /** Largest difference, relative to the largest magnitude expected, of biases of query, key and value in any of the three; absent for paths. Infinity where a number is not finite. */
  maxError?: number;
  /** Rows whose path differs although no logit on it is nearly 0, and those that differ at a near-tie. */
  differ?: number;
  nearTies?: number;
  /** Of numbers: the largest error allowed, where it is not the common one. */
  tolerance?: number;
  passed: boolean;
}

/** Rows of numbers against the expected ones. */
export class Values {
  #compared = 0;
  #skipped = 0;
  #error = 0;
  #largest: number;

  /** `largest`: what errors are relative to where no number expected is larger. */
  constructor(
    readonly stage: Stage,
    readonly tolerance: number,
    largest = 0,
  ) {
    this.#largest = largest;
  }

  skip(): void {
    this.#skipped++;
  }

  /** Compares the stage's row `r` with `ours` [width]. */
  compare(r: number, ours: Float32Array): void {
    const expected = this.stage.row(r);
    for (let i = 0; i < expected.length; i++) {
      const error = Math.abs(ours[i]! - expected[i]!);
      // Not a maximum by Math.max alone: a NaN on either side must count as the worst error.
      this.#error = Number.isFinite(error) ? Math.max(this.#error, error) : Number.POSITIVE_INFINITY;
      this.#largest = Math.max(this.#largest, Math.abs(expected[i]!));
    }
    this.#compared++;
  }

  report(): Report {
    const scalable = Number.isFinite(this.#error) && this.#largest > 0;
    const maxError =
      this.#error === 0 ? 0 : scalable ? this.#error / this.#largest : Number.POSITIVE_INFINITY;
    return {
      name: this.stage.name,
      compared: this.#compared,
      skipped: this.#skipped,
      maxError,
      passed: maxError <= this.tolerance,
    };
  }
}

/** A branch may go either way when its logit is at most this, relative to the largest logit on the token's paths. */
export const NEAR_TIE = 1e-5;

/** Node paths against the expected ones. */
export class Paths {
  #compared = 0;
  #skipped = 0;
  #differ = 0;
  #nearTies = 0;

  /** `levels`: depth + 1. */
  constructor(
    readonly stage: Stage,
    readonly levels: number,
  ) {}

  skip(): void {
    this.#skipped++;
  }

  /**
   * Compares row `r` with the nodes that we visited and their logits, both [trees * levels]. True when they differ at near-ties
   * only: then the token's output is another leaf's, and nothing after it can be compared.
   */
  compare(r: number, ours: Int32Array, logits: Float32Array): boolean {
    const expected = this.stage.row(r);
    const largest = largestMagnitude(logits);
    let ties = 0;
    let differences = 0;
    for (let root = 0; root < expected.length; root += this.levels) {
      for (let at = root; at < root + this.levels; at++) {
        if (ours[at] === expected[at]) continue;
        const tie =
          at > root && isSibling(ours[at]!, expected[at]!) && Math.abs(logits[at - 1]!) <= NEAR_TIE * largest;
        if (tie) ties++;
        else differences++;
        break; // below it, the path is another subtree's
      }
    }
    this.#compared++;
    if (differences > 0) this.#differ++;
    else if (ties > 0) this.#nearTies++;
    return ties > 0 && differences === 0;
  }

  report(): Report {
    return {
      name: this.stage.name,
      compared: this.#compared,
      skipped: this.#skipped,
      differ: this.#differ,
      nearTies: this.#nearTies,
      passed: this.#differ === 0,
    };
  }
}

/** Nodes 2n+1 and 2n+2 are the children of n. */
function isSibling(a: number, b: number): boolean {
  return Math.abs(a - b) === 1 && (a - 1) >> 1 === (b - 1) >> 1;
}
