import { UffbError } from "../../base/errors.ts";
import { asUffbError } from "../../base/system.ts";

/** Which input it is. */
export interface Place {
  /** Number of the line of the file or stdin, of a Parquet file's row, or of the argument, from 1. */
  line: number;
  /** The user's own id; passed through to the output. */
  id?: string | number;
  /** The values of the input's columns but for the id, where they are to be passed through. */
  kept?: Readonly<Record<string, unknown>>;
}

/** One input: a text, two texts, or token ids. */
export interface Item extends Place {
  /** "" where ids are given. */
  text: string;
  /** The second text; "" is a real, empty one. */
  pair?: string;
  /** Token ids given instead of text, special tokens included; each within 0 … 2^31-1. */
  ids?: Int32Array;
}

/** An input that cannot be used, and why, in one line. */
export interface BadItem extends Place {
  error: string;
  /** What to do where every input will have the same fault. */
  remedy?: string;
}

/** What is wrong with an input and will be wrong with those after it, and what to do about it. */
export class SystematicError extends UffbError {
  override name = "SystematicError";
  constructor(
    readonly fault: string,
    readonly remedy: string,
  ) {
    super(`${fault}; ${remedy}`);
  }
}

/** Whatever was thrown while an item was handled, as that item's own error: the others go on. */
export function badItem(place: Place, error: unknown): BadItem {
  const known = asUffbError(error);
  if (!known) {
    const { message } = error instanceof Error ? error : new Error(String(error));
    return bad(place, `${message} (a bug in uffb; please report it)`);
  }
  return bad(place, known.message, known instanceof SystematicError ? known.remedy : undefined);
}

/** An input that cannot be used: keeps what is known of which it is. */
export function bad({ line, id, kept }: Place, error: string, remedy?: string): BadItem {
  return {
    line,
    ...(id !== undefined && { id }),
    ...(kept && { kept }),
    error,
    ...(remedy !== undefined && { remedy }),
  };
}

/** A text of the command line, tabs and all. */
export function parseArgument(line: number, text: string): Item | BadItem {
  return text.trim() === "" ? { line, error: "blank text" } : { line, text: text.toWellFormed() };
}

/** What a tab within a plain line means: it separates two texts, it is a part of the text, or nobody has said. */
export type Tabs = "pairs" | "text" | "unknown";

/** A plain line: a text, or two texts with one tab between them. */
export function parseText(line: number, text: string, tabs: Tabs): Item | BadItem {
  if (text.trim() === "") return { line, error: "blank line" };
  const tab = tabs === "text" ? -1 : text.indexOf("\t");
  if (tab < 0) return { line, text };
  if (tabs === "unknown") {
    const remedy =
      "say --tabs pairs where a tab separates two texts, or --tabs text where it is a part of the text";
    return { line, error: `has a tab; ${remedy}`, remedy };
  }
  if (text.includes("\t", tab + 1)) {
    return { line, error: "more than one tab; a line holds one text, or two separated by one tab" };
  }
  return { line, text: text.slice(0, tab), pair: text.slice(tab + 1) };
}

/** Token ids as decimal numbers, separated by spaces, tabs or commas. */
export function parseIds(line: number, text: string): Item | BadItem {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  if (words.length === 0) return { line, error: "blank line" };
  const ids = checkIds(words.map((word) => (/^\d{1,10}$/.test(word) ? Number(word) : word)));
  return typeof ids === "string" ? { line, error: ids } : { line, text: "", ids };
}

/** A list of token ids, or what is wrong with it. */
export function checkIds(values: readonly unknown[]): Int32Array | string {
  if (values.length === 0) return "no token ids";
  const wrong = values.find(
    (value) => !Number.isInteger(value) || (value as number) < 0 || (value as number) > 0x7fffffff,
  );
  if (wrong !== undefined) return `${JSON.stringify(wrong).slice(0, 40)} is not a token id`;
  return Int32Array.from(values as number[]);
}
