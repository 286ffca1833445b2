/** Writes safetensors files, tensor after tensor. */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { UffbError } from "../../base/errors.ts";
import { byteCount } from "./safetensors.ts";

/** The header's key for what is no tensor. */
const METADATA = "__metadata__";

/** Where the data begins, and each tensor if asked for: a cache line, the widest vector register. */
const ALIGNMENT = 64;

/** A tensor to write. `data` is called once, in order; each piece is used before the next is asked for. */
export interface TensorSource {
  name: string;
  dtype: string;
  shape: readonly number[];
  data(): Iterable<Uint8Array>;
}

export type OnBytes = (done: number, total: number) => void;

/**
 * Writes a file, and waits until it is on disk. With `aligned`, each tensor begins at a multiple of 64 bytes: `pad.N` tensors fill the
 * gaps, which the format does not allow to stay empty. `onProgress` hears how many bytes of the tensors there are, and of how many. Returns
 * the file's size in bytes.
 */
export async function writeSafetensors(
  path: string,
  metadata: Record<string, string>,
  tensors: readonly TensorSource[],
  { aligned = false, onProgress }: { aligned?: boolean; onProgress?: OnBytes | undefined } = {},
): Promise<number> {
  const pieces: TensorSource[] = [];
  let offset = 0;
  const place = (tensor: TensorSource) => {
    pieces.push(tensor);
    offset += byteCount(tensor.dtype, tensor.shape);
  };
  for (const tensor of tensors) {
    const gap = aligned ? -offset & (ALIGNMENT - 1) : 0;
    if (gap > 0)
      place({ name: `pad.${pieces.length}`, dtype: "U8", shape: [gap], data: () => [new Uint8Array(gap)] });
    place(tensor);
  }
  const start = safetensorsStart(metadata, pieces);
  const file = openSync(path, "w");
  try {
    writeAll(file, start);
    let done = 0;
    for (const tensor of pieces) {
      let written = 0;
      for (const piece of tensor.data()) {
        writeAll(file, piece);
        written += piece.length;
        onProgress?.(done + written, offset);
      }
      done += written;
      await new Promise(setImmediate); // lets an interrupt through
      if (written !== byteCount(tensor.dtype, tensor.shape)) {
        throw new Error(`${tensor.name}: wrong number of bytes`);
      }
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return start.length + offset;
}

/** What a file of these tensors, in this order, begins with: everything before their data. */
export function safetensorsStart(
  metadata: Record<string, string>,
  tensors: readonly Omit<TensorSource, "data">[],
): Uint8Array {
  const header: [string, unknown][] = [[METADATA, metadata]];
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (name === METADATA)
      throw new UffbError(`a tensor cannot be called ${METADATA} in a safetensors file; rename it first`);
    const end = offset + byteCount(dtype, shape);
    header.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const start = new Uint8Array(Math.ceil((8 + text.length) / ALIGNMENT) * ALIGNMENT).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  start.set(text, 8);
  return start;
}

function writeAll(file: number, data: Uint8Array): void {
  for (let done = 0; done < data.length; ) done += writeSync(file, data, done, data.length - done);
}
