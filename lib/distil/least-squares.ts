/** Least squares on many samples: sums of products of columns, and the solution of their normal equations. */

/** Samples that are summed up at once: a column of them stays in the cache. */
const CHUNK = 512;

/**
 * Sums of products of columns, sample by sample: a[i] * b[j] of all samples, [as, bs]. Sums of a chunk are exact enough in doubles; the
 * order is that of the samples.
 */
export class Products {
  readonly sums: Float64Array;

  constructor(
    readonly as: number,
    readonly bs: number,
  ) {
    this.sums = new Float64Array(as * bs);
  }

  /** Adds samples: a [count, as], b [count, bs]. */
  add(count: number, a: Float32Array, b: Float32Array): void {
    for (let start = 0; start < count; start += CHUNK) {
      const size = Math.min(CHUNK, count - start);
      this.#addChunk(size, transposed(a, this.as, start, size), transposed(b, this.bs, start, size));
    }
  }

  /** Columns a [as, size] and b [bs, size]; two by two, so that each number that is read is used twice. */
  #addChunk(size: number, a: Float32Array, b: Float32Array): void {
    const { as, bs, sums } = this;
    for (let i = 0; i < as; i += 2) {
      const a0 = i * size;
      const a1 = Math.min(i + 1, as - 1) * size;
      for (let j = 0; j < bs; j += 2) {
        const b0 = j * size;
        const b1 = Math.min(j + 1, bs - 1) * size;
        let [s00, s01, s10, s11] = [0, 0, 0, 0];
        for (let t = 0; t < size; t++) {
          const x0 = a[a0 + t]!;
          const x1 = a[a1 + t]!;
          const y0 = b[b0 + t]!;
          const y1 = b[b1 + t]!;
          s00 += x0 * y0;
          s01 += x0 * y1;
          s10 += x1 * y0;
          s11 += x1 * y1;
        }
        sums[i * bs + j]! += s00;
        if (j + 1 < bs) sums[i * bs + j + 1]! += s01;
        if (i + 1 < as) sums[(i + 1) * bs + j]! += s10;
        if (i + 1 < as && j + 1 < bs) sums[(i + 1) * bs + j + 1]! += s11;
      }
    }
  }
}

/** Rows `start` to `start + size` - 1 of a matrix [*, columns], column by column: [columns, size]. */
function transposed(matrix: Float32Array, columns: number, start: number, size: number): Float32Array {
  const result = new Float32Array(columns * size);
  for (let row = 0; row < size; row++) {
    const from = (start + row) * columns;
    for (let column = 0; column < columns; column++) result[column * size + row] = matrix[from + column]!;
  }
  return result;
}

/**
 * The X [n, columns] for which (S + ridge I) X = B, by Cholesky's decomposition.
 * @param s symmetric [n, n], not negative: sums of squares and products
 * @param b [n, columns]
 * @param ridge above 0, so that there is one solution
 */
export function solveSymmetric(
  s: Float64Array,
  b: Float64Array,
  { n, columns, ridge }: { n: number; columns: number; ridge: number },
): Float64Array {
  const lower = cholesky(s, n, ridge);
  const x = b.slice();
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) subtract(x, columns, k, lower[i * n + k]!, i);
    divide(x, columns, i, lower[i * n + i]!);
  }
  return solveTransposed(lower, x, n, columns);
}

/**
 * The lower L [n, n] for which L L' = S + ridge I.
 * @param s as solveSymmetric takes it
 */
export function cholesky(s: Float64Array, n: number, ridge: number): Float64Array {
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = s[i * n + j]! + (i === j ? ridge : 0);
      for (let k = 0; k < j; k++) sum -= lower[i * n + k]! * lower[j * n + k]!;
      lower[i * n + j] = i === j ? Math.sqrt(Math.max(sum, ridge)) : sum / lower[j * n + j]!;
    }
  }
  return lower;
}

/** The X [n, columns] for which L' X = B, which becomes X. @param lower L [n, n] */
export function solveTransposed(
  lower: Float64Array,
  b: Float64Array,
  n: number,
  columns: number,
): Float64Array {
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) subtract(b, columns, k, lower[k * n + i]!, i);
    divide(b, columns, i, lower[i * n + i]!);
  }
  return b;
}

/** Takes a row times a factor from another, of a matrix [*, columns]. */
function subtract(x: Float64Array, columns: number, from: number, factor: number, row: number): void {
  const source = x.subarray(from * columns, (from + 1) * columns);
  const target = x.subarray(row * columns, (row + 1) * columns);
  for (let c = 0; c < columns; c++) target[c]! -= factor * source[c]!;
}

function divide(x: Float64Array, columns: number, row: number, by: number): void {
  for (let c = 0; c < columns; c++) x[row * columns + c]! /= by;
}
