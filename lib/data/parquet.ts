import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { UffbError } from "../base/errors.ts";
import { checkPages } from "./parquet-pages.ts";
import { objectRow, type Row } from "./rows.ts";

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
    checkPages(bytes, metadata);
    const rows = await parquetReadObjects({ file, metadata });
    return rows.map((row, i) => objectRow(firstLine + i, row));
  } catch (error) {
    open = false;
    throw new UffbError(`${source}: cannot be read as parquet (${(error as Error).message}); fetch it again`);
  }
}
