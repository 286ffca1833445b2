/** What a file of rows is, by its name and its first bytes. */
import { UffbError } from "../base/errors.ts";

export type TableFormat = "csv" | "tsv" | "jsonl" | "parquet";

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

/** What a name says by its ending, that of a packed file aside. */
export function formatOfName(name: string): TableFormat | undefined {
  const ending = /\.(\w+)(?:\.[gx]z)?$/i.exec(name)?.[1]?.toLowerCase() ?? "";
  return ENDINGS[ending];
}

/**
 * What a file is. Parquet begins with its own four bytes; else the name's ending tells, else an opening brace.
 * @returns undefined where neither tells
 * @throws UffbError for what is no file of rows whatever its name: a JSON array, UTF-16
 */
export function formatOf(name: string, start: Uint8Array): TableFormat | undefined {
  const text = startText(start);
  if (text.startsWith("PAR1")) return "parquet";
  checkEncoding(name, start);
  const named = formatOfName(name);
  const json = text.trimStart();
  const delimited = named === "csv" || named === "tsv";
  if (!delimited && (named === undefined ? /^\[\s*\{/ : /^\[/).test(json))
    throw new UffbError(`${name}: is one JSON array; write an object a line, for example with jq -c '.[]'`);
  if (named !== undefined) return named;
  return json.startsWith("{") ? "jsonl" : undefined;
}

/** The separator of a first line that has one. */
export function separatedBy(start: Uint8Array): "csv" | "tsv" | undefined {
  const header = startText(start).split("\n", 1)[0]!;
  if (header.includes("\t")) return "tsv";
  return header.includes(",") ? "csv" : undefined;
}

/** @throws UffbError for UTF-16, which some programs write where others write UTF-8 */
function checkEncoding(name: string, start: Uint8Array): void {
  const [a, b, c, d] = start;
  const wide = (a === 0xff && b === 0xfe && d === 0) || (a === 0xfe && b === 0xff && c === 0);
  if (wide)
    throw new UffbError(`${name}: is UTF-16; save it as UTF-8, for example with iconv -f utf-16 -t utf-8`);
}

/** The first bytes as characters, without a byte order mark. */
export function startText(start: Uint8Array): string {
  const marked = start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf;
  return Buffer.from(start.buffer, start.byteOffset, start.byteLength).toString("latin1", marked ? 3 : 0);
}
