/** Shortest length that is divided by, as in torch.nn.functional.normalize: a vector of zeros stays one. */
const EPSILON = 1e-12;

/** Scales each row of [rows, width] to length 1, in place. */
export function normaliseRows(vectors: Float32Array, width: number): Float32Array {
  for (let start = 0; start < vectors.length; start += width) {
    const vector = vectors.subarray(start, start + width);
    const length = Math.max(Math.sqrt(dot(vector, vector)), EPSILON);
    for (let i = 0; i < width; i++) vector[i]! /= length;
  }
  return vectors;
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
