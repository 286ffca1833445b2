import { UsageError } from "../../base/errors.ts";
import { withReason } from "../../base/system.ts";
import { type Line, MAX_LINE, readLines } from "../../rows/lines.ts";
import { type BadItem, badItem, type Item, parseArgument, parseIds, parseJson, parseText } from "./parse.ts";

export { type BadItem, badItem, type Item } from "./parse.ts";

/** Standard input, or a stand-in for it in tests. */
export interface Source {
  isTTY: boolean;
  stream(): AsyncIterable<Uint8Array>;
}

export interface InputOptions {
  /** Texts of the command line, taken as they are. None, or "-" alone: lines of stdin. */
  texts: readonly string[];
  /** Lines of stdin are JSON objects (see parseJson). */
  jsonl?: boolean | undefined;
  /** Texts and lines are token ids, separated by spaces or commas. Wins over jsonl, so that ids may go in and JSON come out. */
  ids?: boolean | undefined;
  /** The second text of every item that has none of its own. */
  pair?: string | undefined;
  /** Default: the process's stdin. */
  stdin?: Source;
}

/**
 * The inputs of `infer` and `tokenize`, one by one and in order, in constant memory whatever their number. A plain line holds a text, or
 * two separated by one tab. What cannot be read (bad JSON, invalid UTF-8, a blank line, a line over 16 MiB) becomes a BadItem; the others
 * still come.
 *
 * @throws UsageError for options that exclude each other, and when no text is given and stdin is a terminal or holds nothing
 */
export async function* readItems(options: InputOptions): AsyncGenerator<Item | BadItem> {
  for await (const items of readItemBatches(options)) yield* items;
}

/** The same, in arrays of all that could be read without waiting. Flush the output after each array. */
export async function* readItemBatches(options: InputOptions): AsyncGenerator<(Item | BadItem)[]> {
  const { texts, pair } = options;
  if (options.ids && pair !== undefined) throw new UsageError("--ids takes no second text; drop --pair");
  const withPair = (item: Item | BadItem): Item | BadItem =>
    pair === undefined || "error" in item || item.pair !== undefined || item.ids ? item : { ...item, pair };

  if (!fromStdin(texts)) {
    if (texts.includes("-")) throw new UsageError('"-" reads stdin and cannot stand beside other texts');
    const parse = options.ids ? parseIds : parseArgument;
    yield texts.map((text, i) => withPair(parse(i + 1, text)));
    return;
  }

  const stdin = options.stdin ?? processStdin();
  const asked = texts.length > 0;
  if (stdin.isTTY && !asked) {
    throw new UsageError(
      'no text: give one as an argument, or lines on stdin ("-" reads them from the keyboard)',
    );
  }
  const parse = options.ids ? parseIds : options.jsonl ? parseJson : parseText;
  let empty = true;
  for await (const lines of readLines(stdin.stream(), MAX_LINE)) {
    empty = false;
    yield lines.map((line) => ("error" in line ? line : withPair(parseSafely(parse, line))));
  }
  if (empty && !asked) {
    throw new UsageError("no text: stdin is empty; give a text as an argument, or one a line on stdin");
  }
}

function parseSafely(parse: typeof parseText, { line, text }: Line): Item | BadItem {
  try {
    return parse(line, text);
  } catch (error) {
    return badItem(line, error);
  }
}

/** What a message calls the item of this number: "line 3", or "argument 3" where texts came from the command line. */
export function placeOf(line: number, texts: readonly string[]): string {
  return `${fromStdin(texts) ? "line" : "argument"} ${line}`;
}

function fromStdin(texts: readonly string[]): boolean {
  return texts.length === 0 || (texts.length === 1 && texts[0] === "-");
}

function processStdin(): Source {
  return { isTTY: process.stdin.isTTY === true, stream: readStdin };
}

async function* readStdin(): AsyncGenerator<Uint8Array> {
  try {
    yield* Bun.stdin.stream();
  } catch (error) {
    throw withReason("standard input cannot be read", error);
  }
}
