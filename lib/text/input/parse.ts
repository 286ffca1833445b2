import { isObject, tryJson } from "../../base/json.ts";
import { asUffbError } from "../../base/system.ts";

/** One input: a text, two texts, or token ids. */
export interface Item {
  /** Number of the line of stdin, or of the argument, from 1. */
  line: number;
  /** The user's own id, from JSON; passed through to the output. */
  id?: string | number;
  /** "" where ids are given. */
  text: string;
  /** The second text; "" is a real, empty one. */
  pair?: string;
  /** Token ids given instead of text, special tokens included; each within 0 … 2^31-1. */
  ids?: Int32Array;
}

/** An input that cannot be read, and why, in one line. */
export interface BadItem {
  line: number;
  error: string;
}

/** Whatever was thrown while an item was handled, as that item's own error: the others go on. */
export function badItem(line: number, error: unknown): BadItem {
  const known = asUffbError(error);
  if (known) return { line, error: known.message };
  const { message } = error instanceof Error ? error : new Error(String(error));
  return { line, error: `${message} (a bug in uffb; please report it)` };
}

/** A text of the command line, tabs and all. */
export function parseArgument(line: number, text: string): Item | BadItem {
  return text.trim() === "" ? { line, error: "blank text" } : { line, text: text.toWellFormed() };
}

/** A plain line: a text, or two texts with one tab between them. */
export function parseText(line: number, text: string): Item | BadItem {
  if (text.trim() === "") return { line, error: "blank line" };
  const tab = text.indexOf("\t");
  if (tab < 0) return { line, text };
  if (text.includes("\t", tab + 1)) {
    return { line, error: "more than one tab; a line holds one text, or two separated by one tab" };
  }
  return { line, text: text.slice(0, tab), pair: text.slice(tab + 1) };
}

/**
 * A line of JSON: `{"id": …, "text": "…", "text_pair": "…"}`, of which only text is needed; or `"ids": […]` instead of the texts, as
 * `tokenize --jsonl` writes them. Other keys are ignored.
 */
export function parseJson(line: number, json: string): Item | BadItem {
  if (json.trim() === "") return { line, error: "blank line" };
  const read = tryJson(json);
  if ("error" in read) return { line, error: read.error };
  if (!isObject(read.value)) return { line, error: 'not a JSON object; expected {"text": …}' };
  const { id, text, text_pair: pair, ids } = read.value;
  const common = id === undefined || id === null ? { line } : { line, id: id as string | number };
  if (typeof common.id === "object" || typeof common.id === "boolean") {
    return { line, error: '"id" is neither text nor a number' };
  }
  if (typeof common.id === "number" && Math.abs(common.id) > Number.MAX_SAFE_INTEGER) {
    return { line, error: '"id" is too large for a number to keep exactly; write it as text' };
  }
  if (ids !== undefined && ids !== null) {
    if (text !== undefined || pair !== undefined) return { line, error: 'both "ids" and "text" are given' };
    if (!Array.isArray(ids)) return { line, error: '"ids" is not a list' };
    const checked = checkIds(ids);
    return typeof checked === "string" ? { line, error: checked } : { ...common, text: "", ids: checked };
  }
  if (typeof text !== "string")
    return { line, error: text === undefined ? 'no "text"' : '"text" is not a string' };
  if (pair !== undefined && pair !== null && typeof pair !== "string") {
    return { line, error: '"text_pair" is not a string' };
  }
  if (!text.isWellFormed() || (pair && !pair.isWellFormed())) {
    return { line, error: "not valid Unicode (half of a surrogate pair)" };
  }
  return typeof pair === "string" ? { ...common, text, pair } : { ...common, text };
}

/** Token ids as decimal numbers, separated by spaces, tabs or commas. */
export function parseIds(line: number, text: string): Item | BadItem {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  if (words.length === 0) return { line, error: "blank line" };
  const ids = checkIds(words.map((word) => (/^\d{1,10}$/.test(word) ? Number(word) : word)));
  return typeof ids === "string" ? { line, error: ids } : { line, text: "", ids };
}

function checkIds(values: unknown[]): Int32Array | string {
  if (values.length === 0) return "no token ids";
  const bad = values.find(
    (value) => !Number.isInteger(value) || (value as number) < 0 || (value as number) > 0x7fffffff,
  );
  if (bad !== undefined) return `${JSON.stringify(bad).slice(0, 40)} is not a token id`;
  return Int32Array.from(values as number[]);
}
