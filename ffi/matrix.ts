import {
  UFFB_BF16,
  UFFB_F16,
  UFFB_F32,
  UFFB_F64,
  UFFB_I8,
  UFFB_I16,
  UFFB_PANELS_I8,
  UFFB_PANELS_I16,
  UFFB_ROWS,
} from "./bindings.ts";
import { checked, native } from "./library.ts";
import { InvalidError } from "./status.ts";

/** How the bytes of a matrix are to be read: UFFB_F32 and so on, UFFB_ROWS and so on. */
export interface Form {
  dtype: number;
  layout: number;
}

/**
 * Bytes of a logical [rows, cols] matrix in `form`.
 *
 * @throws InvalidError when there is no such matrix
 */
export function matrixBytes(rows: number, cols: number, { dtype, layout }: Form): number {
  const bytes = native().uffb_tensor_bytes(rows, cols, dtype, layout);
  if (bytes === 0)
    throw new InvalidError(`no [${rows}, ${cols}] matrix of dtype ${dtype} in layout ${layout}`);
  return bytes;
}

/**
 * Rewrites a [rows, cols] matrix in another dtype and layout, bit-exactly when both dtypes are the same, and returns `target`, which is
 * new memory unless it is given.
 *
 * @throws InvalidError when the size of `data` does not fit
 */
export function convertMatrix(
  rows: number,
  cols: number,
  data: ArrayBufferView,
  from: Form,
  to: Form,
  target: Uint8Array = new Uint8Array(matrixBytes(rows, cols, to)),
): Uint8Array {
  checked((library) =>
    library.uffb_tensor_convert(
      rows,
      cols,
      data,
      data.byteLength,
      from.dtype,
      from.layout,
      target,
      target.byteLength,
      to.dtype,
      to.layout,
    ),
  );
  return target;
}

/** Floating-point dtypes by their names in safetensors files. */
export const FLOATS: Readonly<Record<string, number>> = {
  F32: UFFB_F32,
  F16: UFFB_F16,
  BF16: UFFB_BF16,
  F64: UFFB_F64,
};

/**
 * Matrices of integers, by their dtype in safetensors files: what the engine has each in, its layout of panels, and how many columns lie
 * together in those.
 */
export const INTEGERS = {
  I8: { dtype: UFFB_I8, layout: UFFB_PANELS_I8, group: 4 },
  I16: { dtype: UFFB_I16, layout: UFFB_PANELS_I16, group: 2 },
} as const satisfies Record<string, Form & { group: number }>;

/** "I8" or "I16". */
export type Integers = keyof typeof INTEGERS;

/** What the engine has a matrix of integers in that it wants in `layout`: in rows what it looks up row by row, in panels all others. */
export function integerForm(kind: Integers, layout: number): Form {
  const { dtype, layout: panels } = INTEGERS[kind];
  return { dtype, layout: layout === UFFB_ROWS ? UFFB_ROWS : panels };
}

export function isIntegers(dtype: string): dtype is Integers {
  return Object.hasOwn(INTEGERS, dtype);
}

/**
 * Writes a [rows, cols] matrix as integers in the form `to` to `target`, with the scale of each row to `scale` [rows].
 *
 * @throws InvalidError when a size does not fit
 */
export function quantiseMatrix(
  rows: number,
  cols: number,
  data: ArrayBufferView,
  { dtype, layout }: Form,
  to: Form,
  target: Uint8Array,
  scale: Float32Array,
): void {
  if (scale.length !== rows) throw new InvalidError(`${scale.length} scales for ${rows} rows`);
  checked((library) =>
    library.uffb_tensor_quantise(
      rows,
      cols,
      data,
      data.byteLength,
      dtype,
      layout,
      to.dtype,
      to.layout,
      target,
      target.byteLength,
      scale,
    ),
  );
}
