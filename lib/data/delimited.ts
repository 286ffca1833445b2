import { UffbError } from "../base/errors.ts";
import { type BadRow, lines, type Row, utf8, withoutMark } from "./rows.ts";

/** A row before its cells have names. */
export interface Cells {
  line: number;
  cells: string[];
}

export interface TableOptions {
  /** For messages. */
  source: string;
  /** Columns that must be there, each under one of its names. */
  required: readonly (readonly string[])[];
  /** The columns of a file that does not begin with a header line. */
  headerless?: readonly string[] | undefined;
}

/**
 * Reads tab-separated values as GLUE has them: quotes are ordinary characters, every line is a row, LF or CRLF. Blank lines are not rows.
 * @throws UffbError when the header lacks a required column.
 */
export function readTsv(bytes: Uint8Array, options: TableOptions): Generator<Row | BadRow> {
  return table(tsvCells(withoutMark(bytes)), options);
}

/**
 * Reads comma-separated values (RFC 4180): a quoted cell may hold commas, doubled quotes and line ends. Blank lines are not rows. A quote
 * that never closes makes one bad row of all that follows it.
 * @throws UffbError when the header lacks a required column.
 */
export function readCsv(bytes: Uint8Array, options: TableOptions): Generator<Row | BadRow> {
  return table(csvCells(withoutMark(bytes)), options);
}

function* table(records: Iterable<Cells | BadRow>, options: TableOptions): Generator<Row | BadRow> {
  const { source, required, headerless } = options;
  let columns: Map<string, number> | undefined;
  for (const record of records) {
    if ("error" in record) {
      if (columns === undefined && headerless === undefined) {
        throw new UffbError(`${source}:${record.line}: the header cannot be read: ${record.error}`);
      }
      yield record;
      continue;
    }
    if (columns === undefined) {
      const missing = missingColumns(record.cells, required);
      columns = positions(missing.length === 0 || headerless === undefined ? record.cells : headerless);
      if (missing.length === 0) continue;
      if (headerless === undefined) {
        const wanted = missing.map((names) => names.join(" or ")).join(", ");
        throw new UffbError(
          `${source}:${record.line}: no column ${wanted} in the header; is this another task's file?`,
        );
      }
    }
    yield checked(record, columns, required);
  }
}

function positions(header: readonly string[]): Map<string, number> {
  return new Map(header.map((name, i) => [name, i]));
}

function missingColumns(
  header: readonly string[],
  required: TableOptions["required"],
): TableOptions["required"] {
  return required.filter((names) => !names.some((name) => header.includes(name)));
}

/** A row; a bad one when it ends before a required column. Cells beyond the header are ignored, as by GLUE's own readers. */
function checked(
  record: Cells,
  columns: Map<string, number>,
  required: TableOptions["required"],
): Row | BadRow {
  const { line, cells } = record;
  const find = (names: readonly string[]) => {
    const name = names.find((known) => columns.has(known));
    return name === undefined ? undefined : columns.get(name);
  };
  const last = Math.max(...required.map((names) => find(names)!));
  if (last >= cells.length) return { line, error: `${cells.length} of ${columns.size} columns` };
  return {
    line,
    columns: () => [...columns.keys()],
    get(names) {
      const position = find(names);
      return position === undefined ? undefined : cells[position];
    },
  };
}

/** The rows of readTsv, the header among them. */
export function* tsvCells(bytes: Uint8Array): Generator<Cells | BadRow> {
  for (const { line, bytes: row } of lines(bytes)) {
    if (row.length === 0) continue;
    const text = utf8(row);
    yield text === undefined ? { line, error: "not UTF-8" } : { line, cells: text.split("\t") };
  }
}

/**
 * The rows of readCsv, the header among them. Works on bytes, one character each, since commas, quotes and line ends are ASCII; a cell
 * becomes text when it is complete.
 */
export function* csvCells(bytes: Uint8Array): Generator<Cells | BadRow> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  let at = 0;
  let line = 1;
  while (at < text.length) {
    const first = line;
    const start = at;
    const cells: string[] = [];
    for (let more = true; more; ) {
      const quoted = text[at] === '"' ? quotedCell(text, at) : { cell: "", end: at };
      if (quoted === undefined) {
        yield { line: first, error: "a quote opens and never closes; nothing after it can be read" };
        return;
      }
      const end = bareEnd(text, quoted.end);
      const bare = text.slice(quoted.end, end);
      more = text[end] === ",";
      cells.push(quoted.cell + (!more && bare.endsWith("\r") ? bare.slice(0, -1) : bare));
      line += quoted.cell.split("\n").length - 1;
      at = end + 1;
    }
    line++;
    if (/^\r?\n?$/.test(text.slice(start, Math.min(at, start + 3)))) continue;
    const decoded = cells.map((cell) => utf8(Buffer.from(cell, "latin1")));
    if (decoded.every((cell) => cell !== undefined)) yield { line: first, cells: decoded };
    else yield { line: first, error: "not UTF-8" };
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
