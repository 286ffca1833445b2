/** Text to pretrain on: documents out of files of several formats, one at a time. */
import { type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { UffbError } from "../../base/errors.ts";
import { isObject, tryJson } from "../../base/json.ts";
import { mapFile } from "../../files/safetensors/mapped.ts";
import { MAX_LINE, readLines } from "../../text/input/lines.ts";
import { checkPages } from "../parquet-pages.ts";
import { objectRow, type Row } from "../rows.ts";
import { unpacked } from "./unpack.ts";

/** What ends a document of plain text: each line, or a line with nothing but white space. */
export const DOCUMENTS = ["lines", "blank-lines"] as const;

export interface CorpusOptions {
  /** Of plain text; default: lines. */
  documents?: (typeof DOCUMENTS)[number] | undefined;
  /** Field of JSON lines or column of Parquet that has the text (a dot descends into an object); default: text. */
  field?: string | undefined;
  /** Leave out what cannot be read, and count it, instead of stopping. */
  skipBad?: boolean | undefined;
}

/** One document, or what cannot be used as one. */
export type Document = { line: number; text: string } | { line: number; error: string };

/**
 * The documents of a file, in order: plain text, JSON lines (.jsonl, .ndjson, .json) or Parquet (.parquet, .pq), the first two also packed
 * (.gz, .xz). Holds one document, or one row group of Parquet, at a time.
 * @throws UffbError when the file cannot be read; for a document that cannot be used, unless `skipBad`
 */
export async function* readDocuments(path: string, options: CorpusOptions = {}): AsyncGenerator<Document> {
  for await (const document of FORMATS[formatOf(path)](path, options)) {
    if ("error" in document && !options.skipBad)
      throw new UffbError(
        `${path}:${document.line}: ${document.error}; mend it, or leave such documents out with --skip-bad`,
      );
    yield document;
  }
}

type Format = "text" | "jsonl" | "parquet";

const ENDINGS: Readonly<Record<string, Format>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "jsonl",
  parquet: "parquet",
  pq: "parquet",
};

function formatOf(path: string): Format {
  const ending = /\.(\w+)(?:\.(?:gz|xz))?$/i.exec(path)?.[1]?.toLowerCase() ?? "";
  return ENDINGS[ending] ?? "text";
}

const FORMATS: Record<Format, (path: string, options: CorpusOptions) => AsyncGenerator<Document>> = {
  text: (path, { documents }) => (documents === "blank-lines" ? paragraphs(path) : lines(path)),
  jsonl: objects,
  parquet: rows,
};

async function* lines(path: string): AsyncGenerator<Document> {
  for await (const batch of readLines(unpacked(path), MAX_LINE)) yield* batch;
}

/** Lines up to the next blank one are a document; one that cannot be read spoils its document alone. */
async function* paragraphs(path: string): AsyncGenerator<Document> {
  let start = 0;
  let open: string[] = [];
  let error: string | undefined;
  const close = (): Document =>
    error === undefined ? { line: start, text: open.join("\n") } : { line: start, error };
  for await (const document of lines(path)) {
    if ("text" in document && document.text.trim() === "") {
      if (open.length > 0 || error !== undefined) yield close();
      [open, error] = [[], undefined];
      continue;
    }
    if (open.length === 0 && error === undefined) start = document.line;
    if ("error" in document) error = document.error;
    else open.push(document.text);
  }
  if (open.length > 0 || error !== undefined) yield close();
}

async function* objects(path: string, { field = "text" }: CorpusOptions): AsyncGenerator<Document> {
  for await (const document of lines(path)) {
    if ("error" in document) yield document;
    else if (document.text.trim() !== "") yield ofObject(document, field);
  }
}

function ofObject({ line, text }: { line: number; text: string }, field: string): Document {
  const read = tryJson(text);
  if ("error" in read) return { line, error: read.error };
  if (!isObject(read.value)) return { line, error: "not a JSON object" };
  return textOf(objectRow(line, read.value), field);
}

function textOf(row: Row, field: string): Document {
  const { line } = row;
  const text = row.get([field]);
  if (typeof text === "string") return { line, text };
  const has = row.columns().slice(0, 10).join(", ");
  return text === undefined
    ? { line, error: `has no ${JSON.stringify(field)}, but ${has || "nothing"}; --field names the text` }
    : { line, error: `${JSON.stringify(field)} is not a text` };
}

async function* rows(path: string, { field = "text" }: CorpusOptions): AsyncGenerator<Document> {
  const bytes = mapFile(path);
  const { buffer, byteOffset, byteLength } = bytes;
  const file = {
    byteLength,
    slice: async (start: number, end = byteLength) =>
      (buffer as ArrayBuffer).slice(byteOffset + start, byteOffset + end),
  };
  const metadata = await sound(path, bytes, file);
  const [column] = field.split(".");
  let start = 0;
  for (const { num_rows } of metadata.row_groups) {
    const end = start + Number(num_rows);
    const found = await parquetReadObjects({
      file,
      metadata,
      columns: [column!],
      rowStart: start,
      rowEnd: end,
    }).catch((error: Error) => {
      throw new UffbError(`${path}: cannot be read as parquet (${error.message}); fetch it again`);
    });
    for (const [i, row] of found.entries()) yield textOf(objectRow(start + i + 1, row), field);
    start = end;
  }
}

async function sound(
  path: string,
  bytes: Uint8Array,
  file: Parameters<typeof parquetMetadataAsync>[0],
): Promise<FileMetaData> {
  try {
    const metadata = await parquetMetadataAsync(file);
    checkPages(bytes, metadata);
    return metadata;
  } catch (error) {
    throw new UffbError(`${path}: cannot be read as parquet (${(error as Error).message}); fetch it again`);
  }
}
