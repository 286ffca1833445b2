/** A file of rows with named columns, whatever its format, read piece by piece. */
import { UffbError } from "../base/errors.ts";
import { type Cells, csvRows, tsvRows } from "./delimited.ts";
import type { TableFormat } from "./format.ts";
import { jsonlRows } from "./jsonl.ts";
import { type BadRow, isThere, type Row } from "./rows.ts";
import type { Opened } from "./source.ts";

export interface Table {
  /** In the order of the file; undefined for JSON lines, where every row has its own. */
  columns: string[] | undefined;
  /** All rows in order, those that cannot be read among them. @throws UffbError when the file cannot be read on */
  rows: AsyncGenerator<(Row | BadRow)[]>;
}

/** Most bytes of a file that is read in memory. */
export const MAX_BYTES = 2 ** 31 - 1;

const READERS: Record<TableFormat, (opened: Opened) => Promise<Table>> = {
  csv: ({ stream, source }) => fromCells(csvRows(stream), source.name),
  tsv: ({ stream, source }) => fromCells(tsvRows(stream), source.name),
  jsonl: async ({ stream }) => ({ columns: undefined, rows: jsonlRows(stream) }),
  async parquet({ stream, random, source }) {
    // Loaded for such files alone: it takes a millisecond.
    const { inMemory, openParquet } = await import("./parquet.ts");
    const { columns, groups } = await openParquet(
      random ?? inMemory(await collect(stream, source.name)),
      source.name,
    );
    return { columns, rows: groups };
  },
};

/**
 * Reads CSV, TSV, JSON lines or Parquet. The first line of CSV and TSV that is not blank names the columns; quotes have no meaning in TSV.
 * @throws UffbError when the header cannot be read, or a Parquet file is none
 */
export function openTable(opened: Opened, format: TableFormat): Promise<Table> {
  return READERS[format](opened);
}

/** Puts what is left of a stream together. */
async function collect(stream: AsyncIterable<Uint8Array>, source: string): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > MAX_BYTES)
      throw new UffbError(`${source}: has more than ${MAX_BYTES} bytes; write it to a file, unpacked`);
    chunks.push(new Uint8Array(chunk));
  }
  return new Uint8Array(Buffer.concat(chunks));
}

async function fromCells(batches: AsyncGenerator<(Cells | BadRow)[]>, source: string): Promise<Table> {
  let first: (Cells | BadRow)[] = [];
  for (;;) {
    const next = await batches.next();
    if (next.done) return { columns: [], rows: toRows([], batches, new Map()) };
    first = next.value;
    const header = first.findIndex(isThere);
    if (header < 0) continue;
    const positions = readHeader(first[header]!, source);
    return { columns: [...positions.keys()], rows: toRows(first.slice(header + 1), batches, positions) };
  }
}

async function* toRows(
  first: (Cells | BadRow)[],
  others: AsyncGenerator<(Cells | BadRow)[]>,
  positions: ReadonlyMap<string, number>,
): AsyncGenerator<(Row | BadRow)[]> {
  const toRow = (record: Cells | BadRow): Row | BadRow => {
    if ("error" in record) return record;
    const { line, cells } = record;
    if (cells.length === positions.size) return new CellRow(record, positions);
    return { line, error: `${cells.length} cells, and the header names ${positions.size} columns` };
  };
  try {
    if (first.length > 0) yield first.map(toRow);
    for await (const records of others) yield records.map(toRow);
  } finally {
    await others.return(undefined);
  }
}

function readHeader(record: Cells | BadRow, source: string): Map<string, number> {
  const place = `${source}:${record.line}`;
  if ("error" in record) throw new UffbError(`${place}: the header cannot be read: ${record.error}`);
  const positions = new Map<string, number>();
  for (const [position, cell] of record.cells.entries()) {
    const name = cell.trim();
    if (positions.has(name)) throw new UffbError(`${place}: two columns are called ${JSON.stringify(name)}`);
    positions.set(name, position);
  }
  const other = [";", "\t", "|"].find(
    (separator) => positions.size === 1 && [...positions.keys()][0]!.includes(separator),
  );
  if (other !== undefined) {
    throw new UffbError(
      `${place}: the columns are separated by ${JSON.stringify(other)}; save the file with commas as .csv, or with tabs as .tsv`,
    );
  }
  return positions;
}

class CellRow implements Row {
  readonly line: number;
  readonly #cells: readonly string[];
  readonly #positions: ReadonlyMap<string, number>;

  constructor({ line, cells }: Cells, positions: ReadonlyMap<string, number>) {
    this.line = line;
    this.#cells = cells;
    this.#positions = positions;
  }

  columns(): string[] {
    return [...this.#positions.keys()];
  }

  get(names: readonly string[]): string | undefined {
    const position = names.map((name) => this.#positions.get(name)).find((found) => found !== undefined);
    return position === undefined ? undefined : this.#cells[position];
  }
}
