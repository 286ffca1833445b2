import { type FileMetaData, parquetMetadata, parquetReadObjects, parquetSchema } from "hyparquet";
import { UffbError } from "../base/errors.ts";
import { checkCounts, checkPages, groupRange } from "./parquet-pages.ts";
import { objectRow, type Row } from "./rows.ts";
import { checkThrift } from "./thrift.ts";

/** Bytes that can be read from anywhere: of a file, or in memory. */
export interface Bytes {
  byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

export interface Parquet {
  /** In the order of the file. */
  columns: string[];
  /** The rows of one row group after another, so that memory holds one of them. @throws UffbError while it is read */
  groups: AsyncGenerator<Row[]>;
}

/**
 * Opens a parquet file as the hub has them (Snappy or no compression). `firstLine` numbers its first row, so that the files of a split
 * count on. @throws UffbError when it is no parquet file
 */
export async function openParquet(file: Bytes, source: string, firstLine = 1): Promise<Parquet> {
  try {
    const metadata = await readMetadata(file);
    checkCounts(file.byteLength, metadata);
    const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
    return { columns, groups: readGroups(file, metadata, source, firstLine) };
  } catch (error) {
    throw unreadable(source, error);
  }
}

/** All rows of a file that is in memory. @throws UffbError when it is no parquet file or one that cannot be read */
export async function readParquet(
  bytes: Uint8Array<ArrayBuffer>,
  source: string,
  firstLine = 1,
): Promise<Row[]> {
  const { groups } = await openParquet(inMemory(bytes), source, firstLine);
  return (await Array.fromAsync(groups)).flat();
}

export function inMemory({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): Bytes {
  const slice = async (start: number, end = byteLength) => buffer.slice(byteOffset + start, byteOffset + end);
  return { byteLength, slice };
}

/** Metadata stand at the end: themselves, their length in four bytes, "PAR1". */
async function readMetadata(file: Bytes): Promise<FileMetaData> {
  const size = file.byteLength;
  const tail = new DataView(await file.slice(Math.max(0, size - 8)));
  if (tail.byteLength < 8 || tail.getUint32(4, true) !== 0x31524150)
    throw new Error("it does not end as such");
  const length = tail.getUint32(0, true);
  if (length > size - 8) throw new Error("its metadata are longer than the file");
  const footer = new Uint8Array(await file.slice(size - 8 - length));
  checkThrift(footer.subarray(0, length));
  return parquetMetadata(footer);
}

async function* readGroups(
  file: Bytes,
  metadata: FileMetaData,
  source: string,
  firstLine: number,
): AsyncGenerator<Row[]> {
  let line = firstLine;
  for (const group of metadata.row_groups) {
    let rows: Record<string, unknown>[];
    try {
      rows = await readGroup(file, { ...metadata, num_rows: group.num_rows, row_groups: [group] });
    } catch (error) {
      throw unreadable(source, error);
    }
    const first = line;
    line += rows.length;
    yield rows.map((row, i) => objectRow(first + i, row));
  }
}

/** The rows of a file's only row group. What is checked is what is read, for the file may change. */
async function readGroup(file: Bytes, metadata: FileMetaData): Promise<Record<string, unknown>[]> {
  const [group] = metadata.row_groups as [FileMetaData["row_groups"][number]];
  const { start, end } = groupRange(file.byteLength, group);
  const stored = await file.slice(start, end);
  checkPages({ start, bytes: new Uint8Array(stored) }, group, metadata);
  // hyparquet starts on the first columns before it has planned the last. When a plan throws, nobody would hear those columns fail,
  // so each waits for the plan to be complete, and for ever when it never is.
  let open = true;
  const slice = (from: number, to = file.byteLength) =>
    new Promise<ArrayBuffer>((resolve) => {
      setImmediate(() => open && resolve(stored.slice(Math.max(0, from - start), Math.max(0, to - start))));
    });
  try {
    return await parquetReadObjects({ file: { byteLength: file.byteLength, slice }, metadata });
  } catch (error) {
    open = false;
    throw error;
  }
}

function unreadable(source: string, error: unknown): UffbError {
  if (error instanceof UffbError) return error;
  return new UffbError(`${source}: cannot be read as parquet (${(error as Error).message}); fetch it again`);
}
