/** A user's own file of examples, whatever its format: rows with named columns. */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { UffbError } from "../../base/errors.ts";
import { readNamed } from "../../base/read.ts";
import { type Cells, csvCells, tsvCells } from "../delimited.ts";
import { readJsonl } from "../jsonl.ts";
import { readParquet } from "../parquet.ts";
import { type BadRow, type Row, withoutMark } from "../rows.ts";

export type TableFormat = "csv" | "tsv" | "jsonl" | "parquet";

export interface Table {
  source: string;
  format: TableFormat;
  /** In the order of the file. */
  columns: string[];
  rows: Row[];
  /** Rows that cannot be read, and why. */
  bad: BadRow[];
  /** Of the file as it lies there, in hexadecimal. */
  sha256: string;
}

const ENDINGS: Readonly<Record<string, TableFormat>> = {
  csv: "csv",
  tsv: "tsv",
  tab: "tsv",
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "jsonl",
  parquet: "parquet",
  pq: "parquet",
};

/** Most bytes of a file, packed or not. */
const MAX_BYTES = 2 ** 31 - 1;
/** Bytes that gzip may make of one: texts become five to ten times smaller, a bomb a thousand. */
const MAX_RATIO = 100;
/** Bytes that are never too many. */
const FEW_BYTES = 2 ** 24;
/** Rows of JSON lines whose keys are taken for the columns. */
const KEY_ROWS = 100;

/**
 * Reads CSV, TSV, JSON lines or Parquet, also gzipped. The name's ending tells which; where it does not, the content does. The first line of
 * CSV and TSV names the columns; quotes have no meaning in TSV.
 * @throws UffbError when the file is not there, is none of these, or has no rows
 */
export async function readTable(path: string): Promise<Table> {
  const stored = await readNamed(path, MAX_BYTES);
  const sha256 = createHash("sha256").update(stored).digest("hex");
  const bytes = unzip(stored, path);
  const format = formatOf(path, bytes);
  const { columns, rows, bad } = await READERS[format](bytes, path);
  if (rows.length + bad.length === 0) throw new UffbError(`${path}: has no rows`);
  return { source: path, format, columns, rows, bad, sha256 };
}

type Bytes = Uint8Array<ArrayBuffer>;

function unzip(bytes: Bytes, path: string): Bytes {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    const maxOutputLength = Math.min(MAX_BYTES, FEW_BYTES + MAX_RATIO * bytes.length);
    return gunzipSync(bytes, { maxOutputLength });
  } catch (error) {
    throw new UffbError(`${path}: cannot be unpacked as gzip: ${(error as Error).message}`, { cause: error });
  }
}

function formatOf(path: string, bytes: Bytes): TableFormat {
  const start = Buffer.from(withoutMark(bytes).subarray(0, 65_536)).toString("latin1");
  if (start.startsWith("PAR1")) return "parquet";
  const ending = /\.(\w+)(?:\.gz)?$/i.exec(path)?.[1]?.toLowerCase() ?? "";
  const named = ENDINGS[ending];
  const first = start.trimStart()[0];
  if (first === "[" && named !== "csv" && named !== "tsv")
    throw new UffbError(`${path}: is one JSON array; write an object a line, for example with jq -c '.[]'`);
  if (named !== undefined) return named;
  if (first === "{") return "jsonl";
  const header = start.split("\n", 1)[0]!;
  if (header.includes("\t")) return "tsv";
  if (header.includes(",")) return "csv";
  throw new UffbError(
    `${path}: neither its name nor its content says what it is; CSV, TSV, JSON lines and Parquet are read`,
  );
}

type Content = Pick<Table, "columns" | "rows" | "bad">;

const READERS: Record<TableFormat, (bytes: Bytes, source: string) => Content | Promise<Content>> = {
  csv: (bytes, source) => fromCells(csvCells(withoutMark(bytes)), source),
  tsv: (bytes, source) => fromCells(tsvCells(withoutMark(bytes)), source),
  jsonl: (bytes) => fromObjects(readJsonl(bytes)),
  parquet: async (bytes, source) => fromObjects(await readParquet(bytes, source)),
};

function fromCells(records: Iterable<Cells | BadRow>, source: string): Content {
  let positions: Map<string, number> | undefined;
  const rows: Row[] = [];
  const bad: BadRow[] = [];
  for (const record of records) {
    if (positions === undefined) positions = readHeader(record, source);
    else if ("error" in record) bad.push(record);
    else if (record.cells.length !== positions.size) {
      bad.push({
        line: record.line,
        error: `${record.cells.length} cells, and the header names ${positions.size} columns`,
      });
    } else rows.push(new CellRow(record, positions));
  }
  return { columns: [...(positions?.keys() ?? [])], rows, bad };
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

function fromObjects(records: Iterable<Row | BadRow>): Content {
  const columns = new Set<string>();
  const rows: Row[] = [];
  const bad: BadRow[] = [];
  for (const record of records) {
    if ("error" in record) bad.push(record);
    else {
      if (rows.length < KEY_ROWS) for (const key of record.columns()) columns.add(key);
      rows.push(record);
    }
  }
  return { columns: [...columns], rows, bad };
}
