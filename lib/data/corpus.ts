/** Text to pretrain on: documents out of files of several formats, one at a time. */
import { createHash } from "node:crypto";
import { UffbError } from "../base/errors.ts";
import { formatOf } from "../rows/format.ts";
import { readLines } from "../rows/lines.ts";
import { type BadRow, isThere, type Row } from "../rows/rows.ts";
import { fileSource, type Opened, openSource } from "../rows/source.ts";
import { openTable } from "../rows/table.ts";

/** What ends a document of plain text: each line, or a line with nothing but white space. */
export const DOCUMENTS = ["lines", "blank-lines"] as const;

export interface CorpusOptions {
  /** Of plain text; default: lines. */
  documents?: (typeof DOCUMENTS)[number] | undefined;
  /** Column that has the text, of files with columns (a dot descends into an object of JSON lines); default: text. */
  field?: string | undefined;
  /** Leave out what cannot be read, and count it, instead of stopping. */
  skipBad?: boolean | undefined;
}

/** One document, or what cannot be used as one. */
export type Document = { line: number; text: string } | BadRow;

/** SHA-256 of a file as it lies there, in hexadecimal. @throws UffbError when it cannot be read, or only once */
export async function hashCorpus(path: string): Promise<string> {
  const source = await fileSource(path);
  try {
    if (source.random === undefined)
      throw new UffbError(`${path}: is a pipe or a device, and a corpus is read twice; write it to a file`);
    const hash = createHash("sha256");
    for await (const chunk of source.stream()) hash.update(chunk);
    return hash.digest("hex");
  } finally {
    await source.close?.();
  }
}

/**
 * The documents of a file, in order: JSON lines, Parquet, CSV and TSV by a column, all else as plain text; also packed by gzip or xz. Holds
 * a document, or a row group of Parquet, at a time. A blank line is no document.
 * @throws UffbError when the file cannot be read; for a document that cannot be used, unless `skipBad`
 */
export async function* readDocuments(path: string, options: CorpusOptions = {}): AsyncGenerator<Document> {
  const source = await fileSource(path);
  try {
    for await (const document of documentsOf(await openSource(source), options)) {
      if ("error" in document && !options.skipBad)
        throw new UffbError(
          `${path}:${document.line}: ${document.error}; mend it, or leave such documents out with --skip-bad`,
        );
      yield document;
    }
  } finally {
    await source.close?.();
  }
}

async function* documentsOf(opened: Opened, options: CorpusOptions): AsyncGenerator<Document> {
  const { documents = "lines", field = "text" } = options;
  const format = formatOf(opened.source.name, opened.start);
  if (format !== undefined) {
    const { rows } = await openTable(opened, format);
    for await (const batch of rows) for (const row of batch) if (isThere(row)) yield textOf(row, field);
    return;
  }
  const lines = readLines(opened.stream);
  if (documents === "blank-lines") yield* paragraphs(lines);
  else for await (const batch of lines) yield* batch.filter(isDocument);
}

const isDocument = (document: Document) => "error" in document || document.text.trim() !== "";

/** Lines up to the next blank one are a document; one that cannot be read spoils its document alone. */
async function* paragraphs(batches: AsyncIterable<Document[]>): AsyncGenerator<Document> {
  let open: { line: number; texts: string[]; error?: string } | undefined;
  const close = ({ line, texts, error }: NonNullable<typeof open>): Document =>
    error === undefined ? { line, text: texts.join("\n") } : { line, error };
  for await (const batch of batches) {
    for (const document of batch) {
      if (!isDocument(document)) {
        if (open) yield close(open);
        open = undefined;
        continue;
      }
      open ??= { line: document.line, texts: [] };
      if ("error" in document) open.error = document.error;
      else open.texts.push(document.text);
    }
  }
  if (open) yield close(open);
}

function textOf(row: Row | BadRow, field: string): Document {
  if ("error" in row) return row;
  const { line } = row;
  const text = row.get([field]);
  if (typeof text === "string") return { line, text };
  if (text !== undefined) return { line, error: `${JSON.stringify(field)} is not a text` };
  const has = row.columns().slice(0, 10).join(", ") || "nothing";
  return { line, error: `has no ${JSON.stringify(field)}, but ${has}; name the text with --field` };
}
