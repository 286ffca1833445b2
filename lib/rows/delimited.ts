import { isUtf8 } from "node:buffer";
import { linesOf, MAX_LINE, type Parts, pieces, readLines } from "./lines.ts";
import { type BadRow, BLANK } from "./rows.ts";

/** A row before its cells have names. */
export interface Cells {
  /** Of the first line of the row. */
  line: number;
  cells: string[];
}

/**
 * The rows of a stream of tab-separated values as GLUE has them, the header among them: quotes are ordinary characters, every line is a
 * row, LF or CRLF.
 */
export async function* tsvRows(stream: AsyncIterable<Uint8Array>): AsyncGenerator<(Cells | BadRow)[]> {
  for await (const lines of readLines(stream)) yield lines.map(cellsOf);
}

/** The same of a file that is in memory. */
export function* tsvCells(bytes: Uint8Array): Generator<Cells | BadRow> {
  for (const line of linesOf(bytes)) yield cellsOf(line);
}

function cellsOf(row: { line: number; text: string } | BadRow): Cells | BadRow {
  if ("error" in row) return row;
  const { line, text } = row;
  return text === "" ? { line, error: BLANK } : { line, cells: text.split("\t") };
}

/** The rows of a stream of comma-separated values, the header among them; see CsvSplitter. */
export function csvRows(stream: AsyncIterable<Uint8Array>): AsyncGenerator<(Cells | BadRow)[]> {
  return pieces(stream, new CsvSplitter(MAX_LINE));
}

/** Bytes of a file in memory whose rows are held at a time. */
const PIECE = 1 << 20;

/** The same of a file that is in memory. */
export function* csvCells(bytes: Uint8Array): Generator<Cells | BadRow> {
  const split = new CsvSplitter(MAX_LINE);
  for (let at = 0; at < bytes.length; at += PIECE)
    yield* split.push(Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(PIECE, bytes.length - at)));
  yield* split.end();
}

const NEWLINE = 10;
const QUOTE = 34;
const OPEN = "a quote opens and does not close";
/** A row of no more bytes is looked at whenever there is more of it. */
const FEW = 1 << 16;

/**
 * Comma-separated values (RFC 4180): a quoted cell may hold commas, doubled quotes and line ends. A quote that was never meant to open a
 * cell does not swallow the rows behind it: where it does not close within `maxRow` bytes or the file, or closes on another line and text
 * follows, its line is a bad row, and the next line begins a new one.
 *
 * What fails this way is looked at again from the next line on. That costs no more than once over: where an open quote ran over a line, the
 * quotes of that line come in even numbers, so that none of them can run on from there.
 */
export class CsvSplitter implements Parts<Cells | BadRow> {
  /** Bytes that are not yet rows; a row begins with them. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** How many of them belong to a row whose quote had not closed when they were looked at. */
  #open = 0;
  /** Of the first line held. */
  #line = 1;
  /** Whether the rest of a line that is too long has still to be passed over. */
  #skipping = false;

  constructor(readonly maxRow: number) {}

  push(chunk: Buffer): (Cells | BadRow)[] {
    let fresh = chunk;
    if (this.#skipping) {
      const end = fresh.indexOf(NEWLINE);
      if (end < 0) return [];
      this.#skipping = false;
      fresh = fresh.subarray(end + 1);
    }
    this.#hold(Buffer.from(fresh)); // a copy, for the stream may fill its chunk again
    const large = this.#heldBytes > this.maxRow;
    // A long row is looked at again when it has become twice as long, so that the time for it grows with its length.
    const grown = this.#open < FEW || this.#heldBytes >= 2 * this.#open;
    if (!large && !(grown && (fresh.includes(NEWLINE) || (this.#open > 0 && fresh.includes(QUOTE)))))
      return [];
    const bytes = this.#take();
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end > 0 || !large) return this.#parse(bytes, end);
    this.#skipping = true;
    return [{ line: this.#line++, error: this.#tooLong }];
  }

  end(): (Cells | BadRow)[] {
    const bytes = this.#take();
    return bytes.length > 0 ? this.#parse(bytes, bytes.length, true) : [];
  }

  get #tooLong(): string {
    return `longer than ${this.maxRow} bytes`;
  }

  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }

  #take(): Buffer {
    const bytes = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    this.#open = 0;
    return bytes;
  }

  /** The rows of whole lines, which end at byte `end` of what was held; the rest is held again. */
  #parse(all: Buffer, end: number, final = false): (Cells | BadRow)[] {
    const bytes = all.subarray(0, end);
    const valid = isUtf8(bytes);
    // Commas, quotes and line ends are ASCII: where not all is UTF-8, a byte is a character until its row is known.
    const text = bytes.toString(valid ? "utf8" : "latin1");
    const rows: (Cells | BadRow)[] = [];
    const add = (line: number, cells: string[]) => rows.push(valid ? { line, cells } : decoded(line, cells));
    let at = this.#line === 1 ? markLength(text, valid) : 0;
    let open = false;
    while (at < text.length) {
      const newline = text.indexOf("\n", at);
      const next = newline < 0 ? text.length : newline;
      const first = text.slice(at, text[next - 1] === "\r" && next > at ? next - 1 : next);
      if (first === "") rows.push({ line: this.#line, error: BLANK });
      else if (first.length > this.maxRow / 3 && Buffer.byteLength(first) > this.maxRow)
        rows.push({ line: this.#line, error: this.#tooLong });
      else if (!first.includes('"')) add(this.#line, first.split(","));
      else {
        const row = quotedRow(text, at);
        if (row === undefined && !final && text.length - at <= this.maxRow) {
          open = true;
          break;
        }
        if (row?.cells) {
          add(this.#line, row.cells);
          this.#line += row.lines;
          at = row.end + 1;
          continue;
        }
        rows.push({ line: this.#line, error: OPEN });
      }
      this.#line++;
      at = next + 1;
    }
    if (open) this.#hold(Buffer.from(text.slice(at), valid ? "utf8" : "latin1"));
    this.#open = this.#heldBytes;
    this.#hold(all.subarray(end));
    return rows;
  }
}

/** Characters of a byte order mark. */
function markLength(text: string, valid: boolean): number {
  if (valid) return text.startsWith("\uFEFF") ? 1 : 0;
  return text.startsWith("\u00EF\u00BB\u00BF") ? 3 : 0;
}

/** Cells whose characters are bytes. */
function decoded(line: number, cells: readonly string[]): Cells | BadRow {
  const bytes = cells.map((cell) => Buffer.from(cell, "latin1"));
  if (!bytes.every((cell) => isUtf8(cell))) return { line, error: "not valid UTF-8" };
  return { line, cells: bytes.map((cell) => cell.toString("utf8")) };
}

/**
 * The row with a quote in it that starts at `at`, the place of the line end behind it, and how many lines it has; without cells where a
 * quote closes on another line and text follows. Undefined where one does not close.
 */
function quotedRow(
  text: string,
  at: number,
): { cells: string[] | undefined; end: number; lines: number } | undefined {
  const cells: string[] = [];
  let lines = 1;
  for (let from = at; ; ) {
    const quoted = text[from] === '"' ? quotedCell(text, from) : { cell: "", end: from };
    if (quoted === undefined) return undefined;
    const end = bareEnd(text, quoted.end);
    const more = text[end] === ",";
    const bare = text.slice(quoted.end, !more && text[end - 1] === "\r" && end > quoted.end ? end - 1 : end);
    const breaks = quoted.cell.split("\n").length - 1;
    if (breaks > 0 && bare !== "") return { cells: undefined, end, lines };
    cells.push(quoted.cell + bare);
    lines += breaks;
    if (!more) return { cells, end, lines };
    from = end + 1;
  }
}

/** The cell whose quote opens at `open`, and where it ends; undefined when the quote never closes. */
function quotedCell(text: string, open: number): { cell: string; end: number } | undefined {
  let cell = "";
  for (let from = open + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) return undefined;
    cell += text.slice(from, quote);
    if (text[quote + 1] !== '"') return { cell, end: quote + 1 };
    cell += '"';
    from = quote + 2;
  }
}

/** Where a cell ends that has no quotes, or what follows a quoted one: at a comma, a line end or the end of the file. */
function bareEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && text[end] !== "," && text[end] !== "\n") end++;
  return end;
}
