/** Rows of tab- or comma-separated values, and what passes through them from the input. */
import type { Input } from "../text/input/input.ts";
import type { Place } from "../text/input/parse.ts";

/** How rows are written: what stands between cells, and how a text becomes one. */
export interface Delimited {
  separator: string;
  cell(text: string): string;
}

/** As RFC 4180 has it. */
export const CSV: Delimited = {
  separator: ",",
  cell: (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text),
};

export const TSV: Delimited = { separator: "\t", cell: oneLine };

/** A row. Numbers are written as they are, which saves a look at each of a vector's. */
export function row({ separator, cell }: Delimited, cells: readonly (string | number)[]): string {
  return `${cells.map((one) => (typeof one === "number" ? one : cell(one))).join(separator)}\n`;
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f]+/;

/** Keeps text from breaking a row. */
export function oneLine(text: string): string {
  return CONTROL.test(text) ? text.replace(new RegExp(CONTROL, "g"), " ") : text;
}

/** Columns of the input that come out again. Where a result has the same name, the input's is called `input_NAME`. */
export class Kept {
  /** As they come out. */
  readonly names: readonly string[];
  readonly #columns: readonly string[];
  readonly #texts: readonly string[];
  readonly #taken: ReadonlySet<string>;

  constructor(kept: Input["kept"] | undefined, taken: readonly string[]) {
    this.#taken = new Set(taken);
    this.#columns = kept?.names ?? [];
    this.#texts = kept?.texts ?? [];
    this.names = this.#columns.map((name) => this.#rename(name));
  }

  #rename(name: string): string {
    let free = name;
    while (this.#taken.has(free)) free = `input_${free}`;
    return free;
  }

  /** A cell for each column. */
  cells({ kept }: Place): string[] {
    return this.#columns.map((name) => cellOf(kept?.[name]));
  }

  /** For an object, which has the texts anyway; all keys of JSON lines, which may be others in each line. */
  fields({ kept }: Place): Record<string, unknown> {
    const entries = Object.entries(kept ?? {}).filter(([name]) => !this.#texts.includes(name));
    return Object.fromEntries(entries.map(([name, value]) => [this.#rename(name), jsonOf(value)]));
  }
}

function cellOf(value: unknown): string {
  const plain = jsonOf(value);
  if (plain === undefined || plain === null) return "";
  return typeof plain === "object" ? JSON.stringify(plain) : String(plain);
}

/** A value as JSON can have it, which Parquet has more kinds of. */
function jsonOf(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(jsonOf);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, jsonOf(inner)]));
}
