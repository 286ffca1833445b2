import { UFFB_COLUMNS, UFFB_ROWS } from "../../ffi/bindings.ts";
import { convertMatrix, type Form, matrixBytes, quantiseMatrix } from "../../ffi/matrix.ts";

/** A matrix in memory or in a mapped file. */
export interface Matrix {
  rows: number;
  cols: number;
  form: Form;
  data: Uint8Array;
}

/** Bytes of a row's numbers in 16 rows or more that are rewritten together. */
const PIECE = 4 << 20;
/** Rows that have to stay together: those of a panel. */
const PANEL = 16;

/** One buffer for all pieces: a new one for each would pile up faster than garbage is collected. */
export class Scratch {
  #memory = new Uint8Array(0);

  take(bytes: number): Uint8Array {
    if (this.#memory.length < bytes) this.#memory = new Uint8Array(bytes);
    return this.#memory.subarray(0, bytes);
  }
}

/**
 * A matrix in another form, piece by piece, so that little memory is needed beyond the mapped source. Only a matrix in columns is rewritten
 * whole. A piece is valid until the next is asked for. Bit-exact when both dtypes are the same.
 */
export function* rewrite(matrix: Matrix, to: Form, scratch: Scratch): Generator<Uint8Array> {
  const { rows, cols, form, data } = matrix;
  if (form.dtype === to.dtype && form.layout === to.layout) {
    yield data;
  } else if (form.layout === UFFB_COLUMNS && to.layout === UFFB_COLUMNS) {
    const transposed = { rows: cols, cols: rows, form: { ...form, layout: UFFB_ROWS }, data };
    yield* rewrite(transposed, { ...to, layout: UFFB_ROWS }, scratch);
  } else if (form.layout === UFFB_COLUMNS || to.layout === UFFB_COLUMNS) {
    yield convertMatrix(rows, cols, data, form, to, scratch.take(matrixBytes(rows, cols, to)));
  } else {
    for (const piece of pieces(matrix)) {
      const target = scratch.take(matrixBytes(piece.rows, cols, to));
      yield convertMatrix(piece.rows, cols, piece.data, form, to, target);
    }
  }
}

/** The same for integers. Fills `scale` [rows] on the way. `matrix` is not in columns. */
export function* quantise(
  matrix: Matrix,
  to: Form,
  scale: Float32Array,
  scratch: Scratch,
): Generator<Uint8Array> {
  const { cols, form } = matrix;
  for (const { rows, first, data } of pieces(matrix)) {
    const target = scratch.take(matrixBytes(rows, cols, to));
    quantiseMatrix(rows, cols, data, form, to, target, scale.subarray(first, first + rows));
    yield target;
  }
}

/** Runs of rows, whole panels as far as they go. */
function* pieces({ rows, cols, form, data }: Matrix): Generator<Matrix & { first: number }> {
  const step = Math.max(PANEL, Math.floor(PIECE / (4 * cols * PANEL)) * PANEL);
  let start = 0;
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const end = start + matrixBytes(count, cols, form);
    yield { rows: count, cols, form, first, data: data.subarray(start, end) };
    start = end;
  }
}
