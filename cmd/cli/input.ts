import { statSync } from "node:fs";
import { UsageError } from "../../lib/base/errors.ts";
import { plural } from "../../lib/base/numbers.ts";
import { type BadItem, INPUT_FORMATS, type Input } from "../../lib/text/input/input.ts";
import { grouped, type Positional } from "./args.ts";
import { messages } from "./messages.ts";

/** The inputs that `infer` and `tokenize` share. */
export const inputArgs = grouped("INPUT", {
  input: {
    type: "string",
    alias: "i",
    valueHint: "file",
    description: "Read this file: plain lines, CSV, TSV, JSON lines or Parquet, also packed by gzip or xz",
  },
  inputFormat: {
    type: "enum",
    options: INPUT_FORMATS,
    description: "What the file or stdin is; default: what its name and its beginning say",
  },
  textColumn: {
    type: "string",
    valueHint: "column",
    description: "Column of the text in a table; default: one with an obvious name",
  },
  pairColumn: { type: "string", valueHint: "column", description: "Column of the second text, of pairs" },
  idColumn: {
    type: "string",
    valueHint: "column",
    description: "Column that names each row in the output; default: id, where there is one",
  },
  keep: { type: "boolean", description: "Write the input's columns, too, behind the results" },
  skipBad: {
    type: "boolean",
    description:
      "Leave inputs out that cannot be used. Without it each has an empty row, so that rows keep their numbers",
  },
  tabs: {
    type: "enum",
    options: ["pairs", "text"],
    description:
      "What a tab within a plain line is: between two texts, or part of the text; default: pairs where the model compares two texts, else text",
  },
  pair: {
    type: "string",
    valueHint: "text",
    description: "Second text of every input that has none of its own",
  },
  ids: { type: "boolean", description: "Read token ids, separated by spaces or commas, instead of text" },
  force: {
    type: "boolean",
    description: "Take a text that is a file's name as it is, and one text where the model compares two",
  },
});

export const inputPositionals = [
  {
    name: "text",
    description: 'Texts. None, or "-": lines, or a table, from stdin',
    multiple: true,
  },
] as const satisfies readonly Positional[];

const ENDING = /\.(txt|csv|tsv|tab|jsonl|ndjson|json|parquet|pq|md|log)(\.[gx]z)?$/i;

/** @throws UsageError where a text is a file's name, or reads like one; `remedy` is what to do if the file is meant */
export function questionFileName(text: string, remedy: string, { force }: { force: boolean }): void {
  if (force || /\s/.test(text)) return;
  const isFile = /[./]/.test(text) && text.length < 4096 && existingFile(text);
  if (!isFile && !ENDING.test(text)) return;
  const what = isFile ? "is a file" : "reads like the name of a file, and there is none";
  throw new UsageError(`${text} ${what}; ${remedy}, or add --force if the name itself is the text`);
}

function existingFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  } catch {
    return false;
  }
}

/** Inputs that are named on stderr before the rest is counted. */
const NAMED = 10;

/** Names inputs that cannot be used, on stderr, and stops where all have the same fault. */
export class BadInputs {
  count = 0;
  #systematic = 0;
  #good = false;

  constructor(
    readonly place: Input["place"],
    readonly skip: boolean,
  ) {}

  /** There are inputs that can be used. */
  good(): void {
    this.#good = true;
  }

  /** @throws UsageError for the tenth of the inputs so far that all have a fault that those to come will have, too */
  add({ line, error, remedy }: BadItem): void {
    this.count++;
    if (this.count <= NAMED) {
      const text = `${this.place(line)}: ${error}`;
      if (this.skip) messages.warn(`left out ${text}`);
      else messages.error(text);
    }
    if (remedy === undefined || this.#good) return;
    this.#systematic++;
    if (this.#systematic === NAMED)
      throw new UsageError(`${this.place(line)}: none of the inputs so far can be used; ${remedy}`);
  }

  finish(): void {
    if (this.count <= NAMED) return;
    const text = `${plural(this.count, "input")} could not be used; the first ${NAMED} are named above`;
    if (this.skip) messages.warn(text);
    else messages.error(text);
  }

  get exitCode(): number {
    return this.count > 0 && !this.skip ? 1 : 0;
  }
}
