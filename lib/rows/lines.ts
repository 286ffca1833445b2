import { isUtf8 } from "node:buffer";
import type { BadRow } from "./rows.ts";

/** Longest line that is read, in bytes; a longer one is skipped without being held in memory. */
export const MAX_LINE = 16 * 1024 * 1024;

const NEWLINE = 10;

/** Bytes whose lines are handed on together, also the amount read between two garbage collections. */
const PIECE = 64 * 1024;

export interface Line {
  /** From 1. */
  line: number;
  text: string;
}

/**
 * The lines of a UTF-8 stream, in arrays of a few thousand at most. LF and CRLF end a line, the last needs no end, and a BOM at the start
 * is dropped. Invalid UTF-8 and lines over `maxLine` bytes come as BadRow. Holds one chunk and one line at most.
 */
export function readLines(
  stream: AsyncIterable<Uint8Array>,
  maxLine = MAX_LINE,
): AsyncGenerator<(Line | BadRow)[]> {
  return pieces(stream, new Splitter(maxLine));
}

/** What takes a stream apart piece by piece: what is complete is given at once, the rest when its end comes. */
export interface Parts<T> {
  push(chunk: Buffer): T[];
  end(): T[];
}

/**
 * The parts of a stream, in arrays of what a piece of it completes; none is empty.
 *
 * JavaScriptCore lets garbage grow to tens of megabytes before it collects it, so that memory would grow by a half over the first hundred
 * thousand lines. Collected every 64 KiB of input it stays within a few percent, which costs `tokenize` less than a tenth of its time.
 */
export async function* pieces<T>(stream: AsyncIterable<Uint8Array>, split: Parts<T>): AsyncGenerator<T[]> {
  let uncollected = 0;
  for await (const { buffer, byteOffset, byteLength } of stream) {
    for (let at = 0; at < byteLength; at += PIECE) {
      const lines = split.push(Buffer.from(buffer, byteOffset + at, Math.min(PIECE, byteLength - at)));
      if (lines.length === 0) continue;
      yield lines;
      uncollected += Math.min(PIECE, byteLength - at);
      if (uncollected < PIECE) continue;
      Bun.gc(true);
      uncollected = 0;
    }
  }
  const last = split.end();
  if (last.length > 0) yield last;
}

/** The lines of a file that is in memory, as readLines gives them. */
export function* linesOf(bytes: Uint8Array): Generator<Line | BadRow> {
  const split = new Splitter(MAX_LINE);
  for (let at = 0; at < bytes.length; at += PIECE)
    yield* split.push(Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(PIECE, bytes.length - at)));
  yield* split.end();
}

class Splitter implements Parts<Line | BadRow> {
  #line = 0;
  /** The start of a line whose end has not come yet. */
  #open: Buffer[] = [];
  #openBytes = 0;

  constructor(readonly maxLine: number) {}

  push(chunk: Buffer): (Line | BadRow)[] {
    const lines: (Line | BadRow)[] = [];
    let start = 0;
    if (this.#openBytes > 0) {
      const end = chunk.indexOf(NEWLINE);
      this.#keep(end < 0 ? chunk : chunk.subarray(0, end));
      if (end < 0) return lines;
      lines.push(this.#close());
      start = end + 1;
    }
    const end = chunk.lastIndexOf(NEWLINE);
    if (end >= start) this.#decode(chunk.subarray(start, end), lines);
    if (Math.max(end + 1, start) < chunk.length) this.#keep(chunk.subarray(Math.max(end + 1, start)));
    return lines;
  }

  end(): (Line | BadRow)[] {
    return this.#openBytes > 0 ? [this.#close()] : [];
  }

  /** Beyond maxLine only the length is kept. */
  #keep(bytes: Buffer): void {
    this.#openBytes += bytes.length;
    // A copy, for the stream may fill its chunk again.
    if (this.#openBytes <= this.maxLine) this.#open.push(Buffer.from(bytes));
    else this.#open = [];
  }

  #close(): Line | BadRow {
    const bytes = this.#openBytes;
    const line = bytes > this.maxLine ? this.#tooLong() : this.#one(Buffer.concat(this.#open));
    this.#open = [];
    this.#openBytes = 0;
    return line;
  }

  /** Decodes whole lines (the last one's newline left off): all at once where they are valid, which is several times faster. */
  #decode(bytes: Buffer, lines: (Line | BadRow)[]): void {
    if (bytes.length <= this.maxLine && isUtf8(bytes)) {
      for (const text of bytes.toString("utf8").split("\n")) lines.push(this.#text(text));
      return;
    }
    for (let start = 0; start <= bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, start);
      const end = newline < 0 ? bytes.length : newline;
      lines.push(end - start > this.maxLine ? this.#tooLong() : this.#one(bytes.subarray(start, end)));
      start = end + 1;
    }
  }

  #one(bytes: Buffer): Line | BadRow {
    return isUtf8(bytes)
      ? this.#text(bytes.toString("utf8"))
      : { line: ++this.#line, error: "not valid UTF-8" };
  }

  #text(text: string): Line {
    const line = ++this.#line;
    const start = line === 1 && text.startsWith("\uFEFF") ? 1 : 0;
    const end = text.endsWith("\r") ? text.length - 1 : text.length;
    return { line, text: end - start === text.length ? text : text.slice(start, end) };
  }

  #tooLong(): BadRow {
    return { line: ++this.#line, error: `longer than ${this.maxLine} bytes` };
  }
}
