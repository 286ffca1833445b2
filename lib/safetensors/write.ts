/** Writes safetensors files: aligned, whole, or not at all. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UffbError } from "../errors.ts";
import { byteCount } from "../safetensors.ts";

/** Where the data begins, and each tensor if asked for: a cache line, the widest vector register. */
const ALIGNMENT = 64;

/** A tensor to write. `data` is called once, in order, and its result used before the next one's call. */
export interface TensorSource {
  name: string;
  dtype: string;
  shape: readonly number[];
  data(): Uint8Array;
}

/**
 * Writes a file, tensor after tensor. With `aligned`, each begins at a multiple of 64 bytes: `pad.N` tensors fill the gaps, which the
 * format does not allow to stay empty. The file appears under its name only once it is complete and on disk; on failure nothing is left behind.
 * Returns its size in bytes.
 */
export function writeSafetensors(
  path: string,
  metadata: Record<string, string>,
  tensors: readonly TensorSource[],
  { aligned = false } = {},
): number {
  const header: [string, unknown][] = [["__metadata__", metadata]];
  const pieces: TensorSource[] = [];
  let offset = 0;
  const place = (tensor: TensorSource) => {
    const bytes = byteCount(tensor.dtype, tensor.shape);
    header.push([
      tensor.name,
      {
        dtype: tensor.dtype,
        shape: tensor.shape,
        data_offsets: [offset, offset + bytes],
      },
    ]);
    pieces.push(tensor);
    offset += bytes;
  };
  for (const tensor of tensors) {
    const gap = aligned ? -offset & (ALIGNMENT - 1) : 0;
    if (gap > 0)
      place({ name: `pad.${pieces.length}`, dtype: "U8", shape: [gap], data: () => new Uint8Array(gap) });
    place(tensor);
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const start = new Uint8Array(Math.ceil((8 + text.length) / ALIGNMENT) * ALIGNMENT).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  start.set(text, 8);

  writeWhole(path, (write) => {
    write(start);
    for (const tensor of pieces) {
      const data = tensor.data();
      if (data.length !== byteCount(tensor.dtype, tensor.shape))
        throw new Error(`${tensor.name}: wrong number of bytes`);
      write(data);
    }
  });
  return start.length + offset;
}

/** Writes a file by way of a temporary one beside it, so that nobody ever sees it half-written. */
function writeWhole(path: string, fill: (write: (data: Uint8Array) => void) => void): void {
  const temporary = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}.tmp`);
  let file: number | undefined;
  try {
    file = openSync(temporary, "wx");
    const target = file;
    fill((data) => {
      for (let done = 0; done < data.length; ) done += writeSync(target, data, done, data.length - done);
    });
    fsyncSync(file);
    closeSync(file);
    file = undefined;
    renameSync(temporary, path);
  } catch (error) {
    if (file !== undefined) closeSync(file);
    rmSync(temporary, { force: true });
    if (error instanceof UffbError || (error as { code?: string }).code === undefined) throw error;
    throw new UffbError(`${path}: cannot be written: ${(error as Error).message}`, { cause: error });
  }
}
