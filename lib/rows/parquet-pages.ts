/**
 * Walks through the pages of a parquet file before hyparquet does, which takes their counts on trust: a run of a few bytes can stand for
 * billions of values.
 */
import { type FileMetaData, snappyUncompress } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import {
  getMaxDefinitionLevel,
  getMaxRepetitionLevel,
  getSchemaPath,
  isFlatColumn,
} from "hyparquet/src/schema.js";
import { checkThrift } from "./thrift.ts";

type PageHeader = ReturnType<typeof parquetHeader>;
type RowGroup = FileMetaData["row_groups"][number];
type ColumnMeta = NonNullable<RowGroup["columns"][number]["meta_data"]>;

/** Bytes of a file for each row and each cell at the least: those of the data sets read here have 50 bytes a row or more. */
const ROW_BYTES = 8;
const CELL_BYTES = 1;
/** Whatever its size, a file may have as many cells. */
const FEW_CELLS = 10_000;
const MAX_PARTS = 1_000_000;
/** Snappy's shortest piece stands for 64 bytes in 3. */
const MAX_RATIO = 32;

/** A row group's bytes, which begin at byte `start` of the file. */
export interface GroupBytes {
  start: number;
  bytes: Uint8Array;
}

/** Where a row group's columns lie in a file of `size` bytes. @throws Error when that is outside */
export function groupRange(size: number, { columns }: RowGroup): { start: number; end: number } {
  let start = size;
  let end = 0;
  for (const { meta_data: meta } of columns) {
    if (meta === undefined) throw new Error("a column has no metadata");
    const range = rangeOf(meta);
    start = Math.min(start, range.start);
    end = Math.max(end, range.end);
    if (!(range.start >= 0 && range.start <= range.end && range.end <= size))
      throw new Error("a column lies outside the file");
  }
  return { start, end: Math.max(start, end) };
}

/** @throws Error for a row group that claims more than its bytes can hold, or is not what its page headers say */
export function checkPages({ start, bytes }: GroupBytes, group: RowGroup, metadata: FileMetaData): void {
  for (const { meta_data: meta } of group.columns) {
    const range = rangeOf(meta!);
    const chunk = bytes.subarray(range.start - start, range.end - start);
    new ColumnWalk(chunk, meta!, metadata, Number(group.num_rows)).walk();
  }
}

/** @throws Error for a file that claims more rows and columns than its `size` bytes can hold */
export function checkCounts(size: number, { num_rows, row_groups, schema }: FileMetaData): void {
  let rows = 0n;
  let stored = 0n;
  let cells = 0n;
  if (row_groups.length * schema.length > MAX_PARTS)
    throw new Error("it has too many row groups and columns");
  for (const { columns, num_rows: groupRows } of row_groups) {
    if (groupRows < 0n) throw new Error("it claims fewer than no rows");
    const paths = columns.map(({ meta_data: meta }) => JSON.stringify(meta?.path_in_schema));
    if (new Set(paths).size < paths.length) throw new Error("a column comes twice");
    rows += groupRows;
    cells += groupRows * BigInt(columns.length);
    for (const { meta_data: meta } of columns) stored += meta?.total_compressed_size ?? 0n;
  }
  if (rows !== num_rows) throw new Error(`it claims ${num_rows} rows and has ${rows}`);
  if (stored > BigInt(size)) throw new Error("its columns overlap");
  const most = (least: number) => BigInt(FEW_CELLS + Math.floor(size / least));
  if (rows > most(ROW_BYTES) || cells > most(CELL_BYTES))
    throw new Error(`it claims ${rows} rows of ${schema.length - 1} columns in ${size} bytes`);
}

/** Where a column's pages of one row group lie in the file. */
function rangeOf(meta: ColumnMeta): { start: number; end: number } {
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset);
  return { start, end: start + Number(meta.total_compressed_size) };
}

class ColumnWalk {
  readonly #reader: { view: DataView; offset: number };
  readonly #flat: boolean;
  readonly #definition: number;
  readonly #repetition: number;
  /** Values there may still be. */
  #left: number;

  constructor(
    readonly bytes: Uint8Array,
    readonly meta: ColumnMeta,
    metadata: FileMetaData,
    readonly rows: number,
  ) {
    const path = getSchemaPath(metadata.schema, meta.path_in_schema);
    this.#reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), offset: 0 };
    this.#flat = isFlatColumn(path);
    this.#definition = getMaxDefinitionLevel(path);
    this.#repetition = path.length > 1 ? getMaxRepetitionLevel(path) : 0;
    // Lists have more values than rows.
    this.#left = this.#flat ? rows : FEW_CELLS + bytes.length / CELL_BYTES;
  }

  /** Goes as far as hyparquet does. */
  walk(): void {
    const reader = this.#reader;
    while ((!this.#flat || this.#left > 0) && reader.offset < this.bytes.length - 1) {
      checkThrift(this.bytes, reader.offset);
      const header = parquetHeader(reader);
      const size = count(header.compressed_page_size);
      if (size > this.bytes.length - reader.offset) throw new Error("a page ends outside its column");
      const page = this.bytes.subarray(reader.offset, reader.offset + size);
      reader.offset += size;
      if (header.type === "DICTIONARY_PAGE") this.#dictionary(header, page);
      else if (header.type === "DATA_PAGE") this.#data(header, page);
      else if (header.type === "DATA_PAGE_V2") this.#data2(header, page);
      else throw new Error(`unsupported page type ${header.type}`);
    }
  }

  #dictionary(header: PageHeader, page: Uint8Array): void {
    const values = count(header.dictionary_page_header?.num_values);
    const { length } = this.#unpack(page, header.uncompressed_page_size);
    if (values > length + 1) throw new Error("a dictionary claims more values than it has bytes");
  }

  #data(header: PageHeader, page: Uint8Array): void {
    const { num_values, encoding } = header.data_page_header ?? {};
    const values = this.#take(num_values);
    const data = this.#unpack(page, header.uncompressed_page_size);
    let at = 0;
    for (const levels of [this.#repetition, this.#definition]) {
      if (levels === 0) continue;
      const length = new DataView(data.buffer, data.byteOffset, data.length).getUint32(at, true);
      checkRuns(data.subarray(at + 4, at + 4 + length), bits(levels), values);
      at += 4 + length;
    }
    this.#values(encoding, data.subarray(at), values);
  }

  #data2(header: PageHeader, page: Uint8Array): void {
    const about = header.data_page_header_v2;
    const values = this.#take(about?.num_values);
    const repetition = count(about?.repetition_levels_byte_length);
    const definition = count(about?.definition_levels_byte_length);
    const nulls = count(about?.num_nulls);
    if (nulls > values || count(about?.num_rows) > values)
      throw new Error("a page claims more nulls or rows than values");
    const levels = repetition + definition;
    if (this.#repetition > 0) checkRuns(page.subarray(0, repetition), bits(this.#repetition), values);
    if (this.#definition > 0) checkRuns(page.subarray(repetition, levels), bits(this.#definition), values);
    const packed = page.subarray(levels);
    const data =
      about?.is_compressed === false ? packed : this.#unpack(packed, header.uncompressed_page_size - levels);
    this.#values(about?.encoding, data, values - nulls);
  }

  #values(encoding: string | undefined, data: Uint8Array, values: number): void {
    const { type } = this.meta;
    switch (encoding) {
      case "PLAIN":
        return; // there are no more of them than rows
      case "RLE":
        if (type !== "BOOLEAN") throw new Error("runs of other values than true and false");
        checkRuns(data.subarray(4), 1, values);
        return;
      case "PLAIN_DICTIONARY":
      case "RLE_DICTIONARY":
        if (type === "BOOLEAN") throw new Error("a dictionary of true and false");
        if (data.length > 0) checkRuns(data.subarray(1), data[0]!, values);
        return;
      default:
        throw new Error(`unsupported encoding ${encoding}`);
    }
  }

  #take(values: number | undefined): number {
    const taken = count(values);
    this.#left -= taken;
    if (this.#left < 0) throw new Error("a column claims more values than there are rows");
    return taken;
  }

  #unpack(page: Uint8Array, size: number): Uint8Array {
    const { codec } = this.meta;
    if (codec === "UNCOMPRESSED") return page;
    if (codec !== "SNAPPY") throw new Error(`unsupported compression ${codec}`);
    if (count(size) > MAX_RATIO * page.length + 64)
      throw new Error("a page claims to be far larger than it is");
    const data = new Uint8Array(size);
    snappyUncompress(page, data);
    return data;
  }
}

/** A count or size out of a header. */
function count(value: number | undefined): number {
  if (!Number.isSafeInteger(value) || value! < 0) throw new Error("a page's sizes are none");
  return value!;
}

/** Bits of a level. */
function bits(most: number): number {
  return 32 - Math.clz32(most);
}

/** Packed values come in eights, and writers reserve more of them than they fill. */
const SPARE = 512;

/** Checks that runs (the hybrid of RLE and bit-packing) hold no more values than a page has. They may be fewer: nulls have none. */
function checkRuns(data: Uint8Array, width: number, values: number): void {
  if (width > 32) throw new Error("values of more than 32 bits");
  let at = 0;
  for (let left = values; left > 0 && at < data.length; ) {
    let header = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = data[at++];
      if (byte === undefined || shift > 28) throw new Error("a run has no end");
      header += (byte & 0x7f) * 2 ** shift;
      more = byte >= 0x80;
    }
    const packed = header % 2 === 1;
    const length = packed ? 4 * (header - 1) : header / 2;
    if (length === 0 || length > left + (packed ? SPARE : 0))
      throw new Error("a run is longer than its page");
    at += packed ? (length / 8) * width : Math.ceil(width / 8);
    left -= length;
  }
}
