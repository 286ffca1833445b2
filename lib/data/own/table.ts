/** A user's own file of examples, whatever its format: rows with named columns. */
import { createHash } from "node:crypto";
import { UffbError } from "../../base/errors.ts";
import { formatOf, separatedBy, type TableFormat } from "../../rows/format.ts";
import { type BadRow, isThere, type Row } from "../../rows/rows.ts";
import { fileSource, openSource, type Source } from "../../rows/source.ts";
import { MAX_BYTES, openTable } from "../../rows/table.ts";

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

/** Rows of JSON lines whose keys are taken for the columns. */
const KEY_ROWS = 100;

/**
 * Reads CSV, TSV, JSON lines or Parquet, also packed by gzip. The name's ending tells which; where it does not, the content does. Blank lines
 * are not rows.
 * @throws UffbError when the file is not there, is none of these, or has no rows
 */
export async function readTable(path: string): Promise<Table> {
  const { source, digest } = hashed(await fileSource(path));
  try {
    const opened = await openSource(source, { bounded: true });
    const format = formatOf(path, opened.start) ?? separatedBy(opened.start);
    if (format === undefined) {
      throw new UffbError(
        `${path}: neither its name nor its content says what it is; CSV, TSV, JSON lines and Parquet are read`,
      );
    }
    const table = await openTable(opened, format);
    const columns = new Set(table.columns);
    const rows: Row[] = [];
    const bad: BadRow[] = [];
    for await (const batch of table.rows) {
      for (const row of batch) {
        if (!isThere(row)) continue;
        if ("error" in row) bad.push(row);
        else {
          if (!table.columns && rows.length < KEY_ROWS) for (const key of row.columns()) columns.add(key);
          rows.push(row);
        }
      }
    }
    if (rows.length + bad.length === 0) throw new UffbError(`${path}: has no rows`);
    return { source: path, format, columns: [...columns], rows, bad, sha256: digest() };
  } finally {
    await source.close?.();
  }
}

/** A source that is read from beginning to end, and the hash of what it was. */
function hashed(file: Source): { source: Source; digest(): string } {
  const hash = createHash("sha256");
  let size = 0;
  async function* stream() {
    for await (const chunk of file.stream()) {
      size += chunk.length;
      if (size > MAX_BYTES)
        throw new UffbError(`${file.name}: has more than ${MAX_BYTES} bytes, more than are read`);
      hash.update(chunk);
      yield chunk;
    }
  }
  const { name, close } = file;
  return { source: { name, stream, ...(close && { close }) }, digest: () => hash.digest("hex") };
}
