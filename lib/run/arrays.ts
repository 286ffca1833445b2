import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withReason } from "../base/system.ts";
import { safetensorsStart } from "../files/safetensors/write.ts";
import type { Sink } from "./sink.ts";

export const ARRAY_FORMATS = ["npy", "safetensors"] as const;
export type ArrayFormat = (typeof ARRAY_FORMATS)[number];

export const isArrayFormat = (format: string | undefined): format is ArrayFormat =>
  ARRAY_FORMATS.some((name) => name === format);

export const ARRAY_DTYPES = ["f32", "f16"] as const;
export type ArrayDtype = (typeof ARRAY_DTYPES)[number];

const DTYPES = {
  f32: { Array: Float32Array, npy: "<f4", safetensors: "F32" },
  f16: { Array: Float16Array, npy: "<f2", safetensors: "F16" },
};

/** What stands before the numbers, which are the same in every format: row by row, little-endian. */
const STARTS: Record<ArrayFormat, (dtype: ArrayDtype, shape: readonly number[]) => Uint8Array> = {
  npy: (dtype, shape) => npyStart(DTYPES[dtype].npy, shape),
  safetensors: (dtype, shape) =>
    safetensorsStart({}, [{ name: "embeddings", dtype: DTYPES[dtype].safetensors, shape }]),
};

/** The least magnitude that rounds to infinity in a dtype; what is infinite in f32 is refused anyway. */
export const ARRAY_LIMITS: Readonly<Record<ArrayDtype, number>> = {
  f32: Number.POSITIVE_INFINITY,
  f16: 65_520,
};

/** Bytes read back at once. */
const PIECE = 1 << 20;

/**
 * Vectors as one array [inputs, width]: an .npy file, or a .safetensors file with the tensor `embeddings`. There is a row for each input, so
 * that row i is line i + 1; an input that cannot be used has NaNs there. How many there are is written before them, so they wait in a
 * temporary file: memory does not grow with their number.
 */
export class ArraySink implements Sink, Disposable {
  readonly #file: number;
  readonly #row: Float32Array | Float16Array;
  #rows = 0;

  constructor(
    readonly format: ArrayFormat,
    readonly dtype: ArrayDtype,
    readonly width: number,
  ) {
    this.#row = new DTYPES[dtype].Array(width);
    const path = join(tmpdir(), `uffb-${crypto.randomUUID()}`);
    try {
      this.#file = openSync(path, "wx+", 0o600);
      unlinkSync(path); // it goes away with the process, however that ends
    } catch (error) {
      throw noRoom(error);
    }
  }

  add(result: Parameters<Sink["add"]>[0]): string {
    if ("task" in result && result.task === "embed") this.#row.set(result.vector);
    else this.#row.fill(Number.NaN);
    const bytes = new Uint8Array(this.#row.buffer);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    } catch (error) {
      throw noRoom(error);
    }
    this.#rows++;
    return "";
  }

  *finish(): Generator<Uint8Array> {
    yield STARTS[this.format](this.dtype, [this.#rows, this.width]);
    const piece = new Uint8Array(PIECE);
    for (let at = 0; ; ) {
      const read = readSync(this.#file, piece, 0, PIECE, at);
      if (read === 0) return;
      yield piece.subarray(0, read);
      at += read;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

function noRoom(error: unknown): unknown {
  return withReason(`${tmpdir()}: cannot hold the vectors for a while (set TMPDIR to another folder)`, error);
}

/** The start of an .npy file, version 1.0: magic, length, and a Python dictionary padded so that the data begin at a multiple of 64. */
function npyStart(descr: string, shape: readonly number[]): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const length = Math.ceil((10 + header.length + 1) / 64) * 64 - 10;
  const start = Buffer.alloc(10 + length);
  start.write("\x93NUMPY\x01\x00", "latin1");
  start.writeUInt16LE(length, 8);
  start.write(`${header.padEnd(length - 1)}\n`, 10, "latin1");
  return start;
}
