import type { StoredTensor } from "./safetensors/safetensors.ts";

/** An element's bits of which all are set in infinities and NaNs, by its high 16 or 32 bits. */
const EXPONENTS: Readonly<Record<string, { words: 2 | 4; stride: number; mask: number }>> = {
  F32: { words: 4, stride: 1, mask: 0x7f800000 },
  F16: { words: 2, stride: 1, mask: 0x7c00 },
  BF16: { words: 2, stride: 1, mask: 0x7f80 },
  F64: { words: 4, stride: 2, mask: 0x7ff00000 },
};

/** Bytes looked at together when they have to be copied. */
const CHUNK = 1 << 16;

/** Whether every element is a finite number. Elements of other than floating-point types always are. */
export function allFinite({ dtype, data }: Pick<StoredTensor, "dtype" | "data">): boolean {
  const format = EXPONENTS[dtype];
  if (!format) return true;
  const { words, stride, mask } = format;
  const aligned = data.byteOffset % words === 0;
  const step = aligned ? data.length : CHUNK;
  // One buffer for all pieces: a new one for each would pile up faster than garbage is collected.
  const copy = aligned ? data : new Uint8Array(Math.min(CHUNK, data.length));
  for (let start = 0; start < data.length; start += step) {
    const piece = copy.subarray(0, data.length - start);
    if (!aligned) piece.set(data.subarray(start, start + step));
    const count = piece.length / words;
    const view =
      words === 2
        ? new Uint16Array(piece.buffer, piece.byteOffset, count)
        : new Uint32Array(piece.buffer, piece.byteOffset, count);
    for (let i = stride - 1; i < count; i += stride) if ((view[i]! & mask) === mask) return false;
  }
  return true;
}
