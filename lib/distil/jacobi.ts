/** Eigenvectors of a small symmetric matrix, by Jacobi's rotations. */

/** Rounds over all pairs; a dozen are more than enough. */
const ROUNDS = 30;

/**
 * @param symmetric [n, n]
 * @returns values [n], the largest first, and vectors [n, n], a column for each
 */
export function eigenvectors(
  symmetric: Float64Array,
  n: number,
): { values: Float64Array; vectors: Float64Array } {
  const a = symmetric.slice();
  const v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  for (let round = 0; round < ROUNDS; round++) {
    let turned = false;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) if (rotate(a, v, { n, p, q })) turned = true;
    if (!turned) break;
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j]! - a[i * n + i]! || i - j);
  const vectors = new Float64Array(n * n);
  for (const [c, from] of order.entries()) for (let i = 0; i < n; i++) vectors[i * n + c] = v[i * n + from]!;
  return { values: Float64Array.from(order, (i) => Math.max(0, a[i * n + i]!)), vectors };
}

/** Turns columns and rows p and q so that their entry becomes 0. @returns false where it is 0 beside the others already */
function rotate(a: Float64Array, v: Float64Array, { n, p, q }: { n: number; p: number; q: number }): boolean {
  const off = a[p * n + q]!;
  const [first, second] = [a[p * n + p]!, a[q * n + q]!];
  if (Math.abs(off) <= Number.EPSILON * Math.sqrt(Math.abs(first * second))) return false;
  const theta = (second - first) / (2 * off);
  const tan = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const cos = 1 / Math.hypot(tan, 1);
  const sin = tan * cos;
  const turn = (matrix: Float64Array, i: number, j: number) => {
    const [x, y] = [matrix[i]!, matrix[j]!];
    matrix[i] = cos * x - sin * y;
    matrix[j] = sin * x + cos * y;
  };
  for (let i = 0; i < n; i++) turn(a, i * n + p, i * n + q);
  for (let i = 0; i < n; i++) turn(a, p * n + i, q * n + i);
  for (let i = 0; i < n; i++) turn(v, i * n + p, i * n + q);
  return true;
}
