import { UffbError } from "../base/errors.ts";
import { type Cells, csvCells, tsvCells } from "../rows/delimited.ts";
import { type BadRow, isThere, type Row } from "../rows/rows.ts";

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
  return table(tsvCells(bytes), options);
}

/**
 * Reads comma-separated values (RFC 4180): a quoted cell may hold commas, doubled quotes and line ends. Blank lines are not rows.
 * @throws UffbError when the header lacks a required column.
 */
export function readCsv(bytes: Uint8Array, options: TableOptions): Generator<Row | BadRow> {
  return table(csvCells(bytes), options);
}

function* table(records: Iterable<Cells | BadRow>, options: TableOptions): Generator<Row | BadRow> {
  const { source, required, headerless } = options;
  let columns: Map<string, number> | undefined;
  for (const record of records) {
    if (!isThere(record)) continue;
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
