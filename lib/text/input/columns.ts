/** Which columns of a table hold what, and the inputs in its rows. */
import { UsageError } from "../../base/errors.ts";
import { show } from "../../base/json.ts";
import { obviousTexts } from "../../rows/columns.ts";
import type { BadRow, Row } from "../../rows/rows.ts";
import { type BadItem, bad, checkIds, type Item, type Place } from "./parse.ts";

/** What the user says of the columns. */
export interface ColumnFlags {
  textColumn?: string | undefined;
  pairColumn?: string | undefined;
  idColumn?: string | undefined;
  /** How many texts an input has, where that is known. */
  count?: 1 | 2 | undefined;
}

export interface Columns {
  /** Undefined where rows hold token ids. */
  text: string | undefined;
  pair: string | undefined;
  id: string;
  /** All but that of the id. */
  others: readonly string[];
  /** What was not said, and is not obvious either. */
  note: string | undefined;
}

/** The column of token ids, as `tokenize` writes it. */
const IDS = "ids";
const ID = "id";
/** What this program writes for an input that could not be used, in place of results. */
const ERROR = "error";
/** Keys that say nothing about where a text is. */
const BESIDE = [ID, ERROR, "line"];

/**
 * Finds the columns: those that were named, else the ones with an obvious name; the only column is the text.
 * @throws UsageError when a named column is not there, or it is not obvious which is the text
 */
export function findColumns(names: readonly string[], flags: ColumnFlags, source: string): Columns {
  const { textColumn, pairColumn, idColumn, count } = flags;
  const has = `${source} has the columns ${names.slice(0, 20).map(show).join(", ")}${names.length > 20 ? " …" : ""}`;
  for (const [flag, name] of Object.entries({ text: textColumn, pair: pairColumn, id: idColumn }))
    if (name !== undefined && !names.includes(name) && !names.includes(name.split(".")[0]!))
      throw new UsageError(`--${flag}-column ${name} is not a column; ${has}`);
  const id = idColumn ?? names.find((name) => name.toLowerCase() === ID) ?? ID;
  const others = names.filter((name) => name !== id);
  const common = { id, others, note: undefined };
  if (textColumn !== undefined) return { ...common, text: textColumn, pair: pairColumn };
  const free = others.filter((name) => name !== pairColumn);
  const [text, pair] = obviousTexts(free, pairColumn === undefined ? count : 1);
  if (text === undefined && names.includes(IDS)) return { ...common, text: undefined, pair: undefined };
  if (text === undefined && free.length !== 1)
    throw new UsageError(`which column is the text? Say --text-column; ${has}`);
  const found = { ...common, text: text ?? free[0]!, pair: pairColumn ?? pair };
  const what = found.pair === undefined || pairColumn !== undefined ? "text" : "texts";
  const which = [found.text, ...(what === "texts" ? [found.pair] : [])].map(show).join(" and ");
  const plain = found.text === "text" && (what === "text" || found.pair === "text_pair");
  return plain
    ? found
    : { ...found, note: `${source}: ${what} from column ${which}; --text-column chooses another` };
}

export interface RowOptions {
  /** Keep the columns' values. */
  keep: boolean;
  /** Values have types, so that an empty text is meant: a cell without one says nothing. */
  typed: boolean;
}

/** The input in a row. */
export function itemOf(row: Row | BadRow, columns: Columns, { keep, typed }: RowOptions): Item | BadItem {
  if ("error" in row) return row;
  const place: Place = { line: row.line };
  if (keep) place.kept = Object.fromEntries(row.columns().flatMap((name) => keptOf(row, name, columns)));
  const id = toId(row.get([columns.id]));
  if (typeof id === "object") return bad(place, `${show(columns.id)} ${id.error}`);
  if (id !== undefined) place.id = id;
  if (columns.text === undefined) return withIds(row, place);
  const text = toText(row.get([columns.text]));
  if (text === undefined) {
    if (row.get([IDS]) !== undefined) return withIds(row, place);
    const told = row.get([ERROR]);
    return bad(place, typeof told === "string" ? told : `no text in column ${show(columns.text)}`);
  }
  if (!typed && typeof text === "string" && text.trim() === "")
    return bad(place, `no text in column ${show(columns.text)}`);
  if (typeof text === "object") return bad(place, `column ${show(columns.text)} ${text.error}`);
  const pair = columns.pair === undefined ? undefined : toText(row.get([columns.pair]));
  if (typeof pair === "object") return bad(place, `column ${show(columns.pair)} ${pair.error}`);
  return pair === undefined ? { ...place, text } : { ...place, text, pair };
}

function keptOf(row: Row, name: string, { id }: Columns): [string, unknown][] {
  return name === id ? [] : [[name, row.get([name]) ?? null]];
}

function withIds(row: Row, place: Place): Item | BadItem {
  const value = row.get([IDS]);
  if (value === undefined) return bad(place, `no token ids in column ${show(IDS)}`);
  if (!Array.isArray(value)) return bad(place, '"ids" is not a list');
  const ids = checkIds(value);
  return typeof ids === "string" ? bad(place, ids) : { ...place, text: "", ids };
}

type Fault = { error: string };

function toText(value: unknown): string | undefined | Fault {
  if (value === undefined) return undefined;
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value !== "string") return { error: "holds no text" };
  return value.isWellFormed() ? value : { error: "is not valid Unicode (half of a surrogate pair)" };
}

function toId(value: unknown): string | number | undefined | Fault {
  if (value === undefined || value === "" || typeof value === "string")
    return value === "" ? undefined : value;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value !== "number") return { error: "is neither text nor a number" };
  return Math.abs(value) > Number.MAX_SAFE_INTEGER
    ? { error: "is too large for a number to keep exactly; write it as text" }
    : value;
}

/** The row that tells best what columns JSON lines have; undefined where none is an object. */
export function tellingRow(rows: readonly (Row | BadRow)[], { textColumn }: ColumnFlags): Row | undefined {
  const keyed = rows.filter(
    (row): row is Row => !("error" in row) && row.columns().some((name) => !BESIDE.includes(name)),
  );
  const tells = (names: readonly string[]) =>
    textColumn === undefined
      ? names.includes(IDS) || obviousTexts(names).length > 0
      : names.includes(textColumn);
  return keyed.find((row) => tells(row.columns())) ?? keyed[0];
}
