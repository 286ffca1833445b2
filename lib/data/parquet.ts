import { type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { UffbError } from "../base/errors.ts";
import { objectRow, type Row } from "./rows.ts";

/** A file that claims more than this is not one of these data sets (the largest, QQP, has 0.8 M rows). */
const MAX_ROWS = 10_000_000n;
const MAX_COLUMN_BYTES = 1n << 30n;

/**
 * Reads a parquet file as the hub has them (Snappy or no compression). `firstLine` numbers its first row, so that the files of a split
 * count on. @throws UffbError when it is no parquet file or one that cannot be read.
 */
export async function readParquet(
  bytes: Uint8Array<ArrayBuffer>,
  source: string,
  firstLine = 1,
): Promise<Row[]> {
  const { buffer, byteOffset, byteLength } = bytes;
  // hyparquet starts on the first columns before it has planned the last. When a plan throws, nobody would hear those columns fail,
  // so each waits for the plan to be complete, and for ever when it never is.
  let open = true;
  const slice = (start: number, end = byteLength) =>
    new Promise<ArrayBuffer>((resolve) => {
      setImmediate(() => open && resolve(buffer.slice(byteOffset + start, byteOffset + end)));
    });
  const file = { byteLength, slice };
  try {
    const metadata = await parquetMetadataAsync(file);
    check(metadata);
    const rows = await parquetReadObjects({ file, metadata });
    return rows.map((row, i) => objectRow(firstLine + i, row));
  } catch (error) {
    open = false;
    throw new UffbError(`${source}: cannot be read as parquet (${(error as Error).message}); fetch it again`);
  }
}

/** What hyparquet takes on trust. */
function check({ num_rows, row_groups }: FileMetaData): void {
  let rows = 0n;
  for (const group of row_groups) {
    const chunks = group.columns.map((column) => column.meta_data);
    const paths = chunks.map((chunk) => JSON.stringify(chunk?.path_in_schema));
    if (new Set(paths).size < paths.length) throw new Error("a column comes twice");
    const large = chunks.some(
      (chunk) => chunk !== undefined && chunk.total_uncompressed_size > MAX_COLUMN_BYTES,
    );
    if (large || group.num_rows < 0n || group.num_rows > MAX_ROWS) throw new Error("it claims too much data");
    rows += group.num_rows;
  }
  if (rows !== num_rows || rows > MAX_ROWS) throw new Error(`it claims ${num_rows} rows and has ${rows}`);
}
