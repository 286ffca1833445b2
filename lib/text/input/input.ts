import { fstatSync, readlinkSync } from "node:fs";
import { UsageError } from "../../base/errors.ts";
import { withReason } from "../../base/system.ts";
import { isObvious } from "../../rows/columns.ts";
import { formatOf, formatOfName, separatedBy, startText, type TableFormat } from "../../rows/format.ts";
import { NO_OBJECT } from "../../rows/jsonl.ts";
import { type Line, MAX_LINE, readLines } from "../../rows/lines.ts";
import type { BadRow, Row } from "../../rows/rows.ts";
import { type Source as ByteSource, fileSource, type Opened, openSource } from "../../rows/source.ts";
import { openTable, type Table } from "../../rows/table.ts";
import { type ColumnFlags, type Columns, findColumns, itemOf, tellingRow } from "./columns.ts";
import { type BadItem, badItem, type Item, parseArgument, parseIds, parseText, type Tabs } from "./parse.ts";

export { type BadItem, bad, badItem, type Item, SystematicError, type Tabs } from "./parse.ts";

/** Standard input, or a stand-in for it in tests. */
export interface Source {
  isTTY: boolean;
  stream(): AsyncIterable<Uint8Array>;
  /** The name of the file that it is, where it is known, and its bytes. */
  file?: string | undefined;
  total?: number | undefined;
}

export const INPUT_FORMATS = ["lines", "csv", "tsv", "jsonl", "parquet"] as const;
export type InputFormat = "lines" | TableFormat;

export interface InputOptions extends ColumnFlags {
  /** Texts of the command line, taken as they are. None, or "-" alone: stdin. */
  texts?: readonly string[] | undefined;
  /** A file to read in place of stdin; "-" for stdin. */
  input?: string | undefined;
  /** What the file or stdin is; found out when absent. */
  inputFormat?: InputFormat | undefined;
  /** Keep the values of a table's columns with each item. */
  keep?: boolean | undefined;
  /** What a tab within a plain line means; a part of the text when absent. */
  tabs?: Tabs | undefined;
  /** Texts and lines are token ids, separated by spaces or commas. */
  ids?: boolean | undefined;
  /** The second text of every item that has none of its own. */
  pair?: string | undefined;
  /** Default: the process's stdin. */
  stdin?: Source;
}

/** Inputs on their way. */
export interface Input {
  /** All of them, in arrays of what could be read without waiting; flush the output after each. Read once. */
  batches: AsyncGenerator<(Item | BadItem)[]>;
  /** The columns that items keep, and those of them that are their texts. */
  kept: { names: readonly string[]; texts: readonly string[] };
  /** What was guessed about them, for the user to check. */
  note: string | undefined;
  /** What a message calls the input of this number: "line 3", "argument 3", "reviews.csv:3". */
  place(line: number): string;
  /** The share of the bytes that has been read, of a file. */
  share(): number | undefined;
}

/**
 * The inputs of `infer` and `tokenize`, in order, in constant memory whatever their number: texts of the command line, plain lines, or the
 * rows of a table. What cannot be read (a blank line, invalid UTF-8, a line over 16 MiB, a row without text) becomes a BadItem in its place;
 * the others still come.
 *
 * @throws UsageError for options that exclude each other, when no text is given and stdin is a terminal or holds nothing, and when it is
 * not clear what a file is or where its texts are. @throws UffbError when a file cannot be read
 */
export async function openInput(options: InputOptions): Promise<Input> {
  const { texts = [], input, ids, pair, inputFormat } = options;
  if (ids && pair !== undefined) throw new UsageError("--ids takes no second text; drop --pair");
  if (ids && inputFormat !== undefined && inputFormat !== "lines")
    throw new UsageError(`--ids are plain lines, not ${inputFormat}; in JSON lines, "ids" holds token ids`);
  const opened = fromArguments(texts)
    ? argumentsOf(texts, options)
    : await openFileInput(texts, input, options);
  if (pair === undefined) return opened;
  const withPair = (item: Item | BadItem) =>
    "error" in item || item.pair !== undefined || item.ids ? item : { ...item, pair };
  return { ...opened, batches: mapped(opened.batches, withPair) };
}

/** The inputs one by one. */
export async function* itemsOf({ batches }: Input): AsyncGenerator<Item | BadItem> {
  for await (const items of batches) yield* items;
}

const NOTHING_KEPT = { names: ["text"], texts: ["text"] };

function fromArguments(texts: readonly string[]): boolean {
  return texts.length > 1 || (texts.length === 1 && texts[0] !== "-");
}

function argumentsOf(texts: readonly string[], { ids, input, inputFormat, keep }: InputOptions): Input {
  if (texts.includes("-")) throw new UsageError('"-" reads stdin and cannot stand beside other texts');
  const flag = input !== undefined ? "--input" : inputFormat !== undefined ? "--input-format" : undefined;
  if (flag !== undefined) throw new UsageError(`${flag} cannot stand beside texts as arguments; drop one`);
  const parse = ids ? parseIds : parseArgument;
  async function* batches() {
    yield texts.map((text, i) => withText(parse(i + 1, text), keep));
  }
  return {
    batches: batches(),
    kept: NOTHING_KEPT,
    note: undefined,
    place: (line) => `argument ${line}`,
    share: () => undefined,
  };
}

/** A plain line keeps its text, as a table of one column would. */
function withText(item: Item | BadItem, keep: boolean | undefined): Item | BadItem {
  return keep && !("error" in item) && !item.ids ? { ...item, kept: { text: item.text } } : item;
}

async function openFileInput(
  texts: readonly string[],
  path: string | undefined,
  options: InputOptions,
): Promise<Input> {
  if (path !== undefined && path !== "-") {
    if (texts.length > 0) throw new UsageError('"-" reads stdin, and --input a file; drop one');
    const source = await fileSource(path);
    try {
      return await inputOf(await openSource(source), options, (line) => `${path}:${line}`);
    } catch (error) {
      await source.close?.();
      throw error;
    }
  }
  const stdin = options.stdin ?? processStdin();
  const asked = texts.length > 0 || path !== undefined;
  if (stdin.isTTY && !asked) {
    throw new UsageError(
      'no text: give one as an argument, or lines on stdin ("-" reads them from the keyboard)',
    );
  }
  const opened = await openSource(counted("stdin", stdin));
  if (opened.start.length === 0 && !asked) {
    throw new UsageError("no text: stdin is empty; give a text as an argument, or one a line on stdin");
  }
  return inputOf(opened, options, (line) => `line ${line}`, stdin.file);
}

/** A stream whose bytes are counted. */
function counted(name: string, { stream, total }: Source): ByteSource {
  const source: ByteSource = {
    name,
    total,
    done: 0,
    async *stream() {
      for await (const chunk of stream()) {
        source.done! += chunk.length;
        yield chunk;
      }
    },
  };
  return source;
}

async function inputOf(
  opened: Opened,
  options: InputOptions,
  place: Input["place"],
  stdinFile?: string,
): Promise<Input> {
  const { source } = opened;
  const { keep = false } = options;
  const format = options.inputFormat ?? (options.ids ? "lines" : chooseFormat(opened, options, stdinFile));
  const common = { place, share: () => source.total && source.done! / source.total };
  if (format !== "lines") {
    const { columns, rows } = await readColumns(await openTable(opened, format), options, source.name);
    const toItem = (row: Row | BadRow) => withRemedy(itemOf(row, columns, rowOptions), format);
    const rowOptions = { keep, typed: format === "jsonl" || format === "parquet" };
    const texts = [columns.text, columns.pair].filter((name) => name !== undefined);
    return {
      ...common,
      batches: closing(mapped(rows, toItem), source),
      kept: { names: columns.others, texts },
      note: columns.note,
    };
  }
  const { textColumn, pairColumn, idColumn, ids, tabs = "text" } = options;
  const flag = Object.entries({ text: textColumn, pair: pairColumn, id: idColumn }).find(([, name]) => name);
  if (flag) throw new UsageError(`--${flag[0]}-column is for tables; plain lines have no columns`);
  const parse = ids ? parseIds : (line: number, text: string) => parseText(line, text, tabs);
  const read = (line: Line | BadRow) => ("error" in line ? line : parseSafely(parse, line));
  const toItem = keep ? (line: Line | BadRow) => withText(read(line), keep) : read;
  return {
    ...common,
    batches: closing(mapped(readLines(opened.stream, MAX_LINE), toItem), source),
    kept: NOTHING_KEPT,
    note: undefined,
  };
}

/** What a file or stdin is, where nobody has said it. @throws UsageError when it looks like a table, and it is not clear that it is one */
function chooseFormat(
  { source, start }: Opened,
  options: InputOptions,
  stdinFile: string | undefined,
): InputFormat {
  const format = formatOf(source.name, start);
  if (format !== undefined) return format;
  const { textColumn, pairColumn, idColumn } = options;
  const named = [textColumn, pairColumn, idColumn].some((name) => name !== undefined);
  const separated = separatedBy(start);
  if (named) {
    if (separated !== undefined) return separated;
    throw new UsageError(`${source.name}: what is it? Say --input-format csv, tsv, jsonl or parquet`);
  }
  const isCsv = stdinFile !== undefined && formatOfName(stdinFile) === "csv";
  if (isCsv || (separated !== undefined && readsLikeHeader(start, separated))) {
    const table = isCsv ? "csv" : separated;
    const why = isCsv ? `is ${stdinFile}` : `looks like ${table!.toUpperCase()}, by its first line`;
    throw new UsageError(`${source.name} ${why}; say --input-format ${table}, or --input-format lines`);
  }
  return "lines";
}

/** Characters of a name of a column. */
const MAX_NAME = 40;

/** A name without spaces, of which a sentence has more than one between two commas. */
const IDENTIFIER = /^[\p{L}_][\p{L}\d_.-]*$/u;

/** Whether a first line reads like a header: with a column of texts, or of nothing but identifiers. */
function readsLikeHeader(start: Uint8Array, separated: "csv" | "tsv"): boolean {
  const [header] = startText(start).trimStart().split(/\r?\n/, 1) as [string];
  const cells = header.split(separated === "csv" ? "," : "\t").map((cell) => cell.replace(/^"(.*)"$/, "$1"));
  if (!cells.every((cell) => cell.length <= MAX_NAME)) return false;
  return (
    cells.some((cell) => isObvious(cell.trim())) ||
    (separated === "csv" && cells.every((cell) => IDENTIFIER.test(cell)))
  );
}

/** Rows that are read at most to find the columns of JSON lines. */
const MAX_UNKEYED = 10_000;

/** The columns of a table; those of JSON lines are the keys of a row. */
async function readColumns(
  table: Table,
  flags: ColumnFlags,
  source: string,
): Promise<{ columns: Columns; rows: AsyncGenerator<(Row | BadRow)[]> }> {
  if (table.columns) return { columns: findColumns(table.columns, flags, source), rows: table.rows };
  const first: (Row | BadRow)[][] = [];
  let telling: Row | undefined;
  for (let count = 0; telling === undefined && count < MAX_UNKEYED; ) {
    const next = await table.rows.next();
    if (next.done) break;
    first.push(next.value);
    count += next.value.length;
    telling = tellingRow(next.value, flags);
  }
  const names = telling?.columns() ?? [flags.textColumn ?? "text"];
  async function* rows() {
    try {
      yield* first;
      yield* table.rows;
    } finally {
      await table.rows.return(undefined);
    }
  }
  const columns = findColumns(names, telling ? flags : { textColumn: names[0] }, source);
  // Other rows may have a text or a second one where the row that tells has none.
  const text = columns.text ?? "text";
  const pair = columns.pair ?? (text === "text" ? "text_pair" : undefined);
  return { columns: { ...columns, text, pair }, rows: rows() };
}

/** Plain lines where JSON lines were said are all of no use. */
function withRemedy(item: Item | BadItem, format: TableFormat): Item | BadItem {
  if (format !== "jsonl" || !("error" in item) || item.error !== NO_OBJECT) return item;
  return { ...item, remedy: "for plain lines say --input-format lines" };
}

function parseSafely(
  parse: (line: number, text: string) => Item | BadItem,
  { line, text }: Line,
): Item | BadItem {
  try {
    return parse(line, text);
  } catch (error) {
    return badItem({ line }, error);
  }
}

async function* mapped<A, B>(batches: AsyncGenerator<A[]>, map: (one: A) => B): AsyncGenerator<B[]> {
  for await (const batch of batches) yield batch.map(map);
}

async function* closing<T>(batches: AsyncGenerator<T>, source: ByteSource): AsyncGenerator<T> {
  try {
    yield* batches;
  } finally {
    await source.close?.();
  }
}

function processStdin(): Source {
  const file = nameOfStdin();
  return { isTTY: process.stdin.isTTY === true, stream: readStdin, file, total: sizeOfStdin() };
}

function sizeOfStdin(): number | undefined {
  try {
    const status = fstatSync(0);
    return status.isFile() ? status.size : undefined;
  } catch {
    return undefined; // closed
  }
}

function nameOfStdin(): string | undefined {
  try {
    return readlinkSync("/proc/self/fd/0");
  } catch {
    return undefined; // not Linux
  }
}

async function* readStdin(): AsyncGenerator<Uint8Array> {
  try {
    yield* Bun.stdin.stream();
  } catch (error) {
    throw withReason("standard input cannot be read", error);
  }
}
