/** How alike two vectors are, as sentence-transformers has it: the larger the more alike, so distances are negative. */
import type { Similarity } from "../model/sentence/prompts.ts";
import { dot, normaliseRows } from "./normalise.ts";

export interface Comparison {
  /** What a vector is brought to before it is compared; the vector itself may change. */
  prepare(vector: Float32Array): Float32Array;
  compare(a: Float32Array, b: Float32Array): number;
}

const asItIs = (vector: Float32Array) => vector;

export const COMPARISONS: Readonly<Record<Similarity, Comparison>> = {
  cosine: { prepare: (vector) => normaliseRows(vector, vector.length), compare: dot },
  dot: { prepare: asItIs, compare: dot },
  euclidean: {
    prepare: asItIs,
    compare(a, b) {
      let sum = 0;
      for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
      return -Math.sqrt(sum);
    },
  },
  manhattan: {
    prepare: asItIs,
    compare(a, b) {
      let sum = 0;
      for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
      return -sum;
    },
  },
};
