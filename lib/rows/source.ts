/** Where the bytes of rows come from: a file, a pipe or standard input, packed or not. */
import { open } from "node:fs/promises";
import { cannotRead } from "../base/read.ts";
import { knowsPacking, packingOf } from "./packing.ts";
import type { Bytes } from "./parquet.ts";

/** Bytes as they lie somewhere. */
export interface Source {
  /** In messages. */
  name: string;
  /** Read once. @throws UffbError when it cannot be read */
  stream(): AsyncIterable<Uint8Array>;
  /** Bytes in all and bytes read so far, of a file. */
  total?: number | undefined;
  done?: number;
  /** Of a regular file: reads from anywhere. */
  random?: Bytes;
  close?(): Promise<void>;
}

/** A source whose beginning is known, and which is unpacked. */
export interface Opened {
  source: Source;
  /** Of the unpacked bytes: the first line that is not blank, or as much of it as 64 KiB hold. */
  start: Buffer;
  /** Undefined where bytes are packed. */
  random: Bytes | undefined;
  stream: AsyncIterable<Uint8Array>;
}

const CHUNK = 1 << 18;

/**
 * Opens what a user named: a regular file, or a pipe or device (`<(command)`, /dev/stdin).
 * @throws UffbError when it is not there or cannot be read
 */
export async function fileSource(path: string): Promise<Source> {
  const file = await open(path, "r").catch((error) => {
    throw cannotRead(path, error);
  });
  const status = await file.stat();
  const read = async (bytes: Uint8Array, at: number | null) => {
    try {
      return (await file.read(bytes, 0, bytes.length, at)).bytesRead;
    } catch (error) {
      throw cannotRead(path, error);
    }
  };
  const source: Source = {
    name: path,
    total: status.isFile() ? status.size : undefined,
    done: 0,
    async *stream() {
      for (;;) {
        const chunk = new Uint8Array(CHUNK);
        const bytes = await read(chunk, null);
        if (bytes === 0) return;
        source.done! += bytes;
        yield chunk.subarray(0, bytes);
      }
    },
    close: () => file.close(),
  };
  if (status.isFile()) {
    source.random = {
      byteLength: status.size,
      async slice(start, end = status.size) {
        const bytes = new Uint8Array(end - start);
        let at = 0;
        for (let got = 1; got > 0 && at < bytes.length; at += got)
          got = await read(bytes.subarray(at), start + at);
        source.done = Math.max(source.done!, end);
        return bytes.buffer.slice(0, at);
      },
    };
  }
  return source;
}

/** Bytes of a beginning that are looked at. */
const START = 1 << 16;

/**
 * Looks at a source's beginning, and unpacks it if it is packed. Reads no more than the first line that is not blank.
 * @param bounded refuse what becomes far larger than texts do when it is unpacked: who keeps it all in memory wants that
 */
export async function openSource(source: Source, { bounded = false } = {}): Promise<Opened> {
  const stored = await peek(source.stream(), knowsPacking);
  const packing = packingOf(stored.start);
  const bytes = packing
    ? (await import("./unpack.ts")).unpack(packing, stored.stream, source.name, bounded)
    : stored.stream;
  const { start, stream } = await peek(bytes, hasLine);
  return { source, start, random: packing ? undefined : source.random, stream };
}

function hasLine(start: Buffer): boolean {
  if (start.length >= START) return true;
  const text = start.findIndex((byte) => byte > 32);
  return text >= 0 && start.includes(10, text);
}

/** A stream's beginning, as much of it as is `enough`, and all of it. */
async function peek(
  stream: AsyncIterable<Uint8Array>,
  enough: (start: Buffer) => boolean,
): Promise<{ start: Buffer; stream: AsyncIterable<Uint8Array> }> {
  const chunks = stream[Symbol.asyncIterator]();
  let start: Buffer = Buffer.alloc(0);
  let ended = false;
  while (!ended && !enough(start)) {
    const next = await chunks.next();
    if (next.done) ended = true;
    else start = Buffer.concat([start, next.value]);
  }
  async function* all() {
    try {
      if (start.length > 0) yield start;
      while (!ended) {
        const next = await chunks.next();
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await chunks.return?.();
    }
  }
  return { start, stream: all() };
}
