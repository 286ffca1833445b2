import { UFFB_F32, UFFB_ROWS } from "../../../ffi/bindings.ts";
import { convertMatrix, FLOATS } from "../../../ffi/matrix.ts";
import { UffbError } from "../../base/errors.ts";
import { quoted } from "../../base/printable.ts";
import type { StoredTensor } from "../../files/safetensors/safetensors.ts";

/**
 * A tensor's numbers in f32, row by row; `name` is what messages call it.
 *
 * @throws UffbError for another element type than a floating-point one
 */
export function readFloats({ dtype, shape, data, file }: StoredTensor, name: string): Float32Array {
  const from = FLOATS[dtype];
  if (from === undefined) {
    const known = Object.keys(FLOATS).join(", ");
    throw new UffbError(`${file}: tensor ${quoted(name)} is ${dtype}; weights can be ${known}`);
  }
  const [rows = 1, ...rest] = shape;
  const cols = rest.reduce((size, count) => size * count, 1);
  const to = { dtype: UFFB_F32, layout: UFFB_ROWS };
  const bytes = convertMatrix(rows, cols, data, { dtype: from, layout: UFFB_ROWS }, to);
  return new Float32Array(bytes.buffer, bytes.byteOffset, rows * cols);
}
