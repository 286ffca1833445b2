/**
 * Attention's query, key and value, which some checkpoints hold as three tensors and the engine as one: head by head, each head's rows of
 * all three together.
 */

import { UffbError } from "../base/errors.ts";
import { quoted } from "../base/printable.ts";
import { DTYPE_BYTES, type StoredTensor } from "../files/safetensors/safetensors.ts";

interface Part {
  name: string;
  tensor: StoredTensor;
}

/**
 * One tensor of several [H, ...]: [parts * H, ...]. Its data are copied together at each reading.
 *
 * @throws UffbError when the parts differ in dtype or shape
 */
export function interleave(parts: readonly Part[], heads: number): Part {
  const { tensor: first } = parts[0]!;
  for (const { name, tensor } of parts) {
    if (tensor.dtype === first.dtype && tensor.shape.join() === first.shape.join()) continue;
    const [found, expected] = [tensor, first].map(({ dtype, shape }) => `${dtype} [${shape.join(", ")}]`);
    throw new UffbError(
      `${tensor.file}: tensor ${quoted(name)} is ${found}, but ${quoted(parts[0]!.name)} is ${expected}; they must be alike`,
    );
  }
  const [rows = 0, ...rest] = first.shape;
  const tensor: StoredTensor = {
    dtype: first.dtype,
    shape: [parts.length * rows, ...rest],
    file: first.file,
    copied: true,
    get data() {
      const sources = parts.map((part) => part.tensor.data);
      const bytes = sources[0]!.length;
      const block = bytes / heads;
      const data = new Uint8Array(parts.length * bytes);
      for (let head = 0, at = 0; head < heads; head++) {
        for (const source of sources) {
          data.set(source.subarray(head * block, (head + 1) * block), at);
          at += block;
        }
      }
      return data;
    },
  };
  return { name: nameOf(parts.map(({ name }) => name)), tensor };
}

/** "self.{query,key,value}.weight" */
function nameOf(names: readonly string[]): string {
  const [first] = names as [string];
  let start = 0;
  while (names.every((name) => start < name.length && name[start] === first[start])) start++;
  let end = 0;
  const shortest = Math.min(...names.map(({ length }) => length)) - start;
  while (end < shortest && names.every((name) => name.at(-1 - end) === first.at(-1 - end))) end++;
  const middles = names.map((name) => name.slice(start, name.length - end));
  return `${first.slice(0, start)}{${middles.join()}}${first.slice(first.length - end)}`;
}

/** Which rows of an interleaved tensor are a part's own. */
export interface Share {
  part: number;
  parts: number;
  heads: number;
}

/** Bytes of one part, of an interleaved [rows, cols] matrix that comes row by row in pieces of any size. */
export function* takePart(
  pieces: Iterable<Uint8Array>,
  { part, parts, heads }: Share,
  { rows, cols, dtype }: { rows: number; cols: number; dtype: string },
): Generator<Uint8Array> {
  const block = ((rows * cols) / (parts * heads)) * DTYPE_BYTES[dtype]!;
  let at = 0;
  for (const piece of pieces) {
    for (let start = 0; start < piece.length; ) {
      const length = Math.min(block - (at % block), piece.length - start);
      if (Math.floor(at / block) % parts === part) yield piece.subarray(start, start + length);
      at += length;
      start += length;
    }
  }
}
