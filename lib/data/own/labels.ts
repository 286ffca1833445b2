/** What a label means: a class, several, or a score. */
import { UffbError } from "../../base/errors.ts";
import { show } from "../../base/json.ts";
import type { Row } from "../../rows/rows.ts";

export const KINDS = ["classification", "multi-label", "regression"] as const;
export type Kind = (typeof KINDS)[number];

/** A label as the loss wants it: a class number, a score, or 0 or 1 for each label. */
export type Target = number | readonly number[];

/** How to read the labels of a file, found from its rows. */
export interface Labels {
  kind: Kind;
  /** Of the classes, in the order of their numbers; [] for scores. */
  names: readonly string[];
  /** The column, or of a multi-label task maybe one for each label. */
  columns: readonly string[];
}

/** More different whole numbers than this are scores, not classes. */
const MOST_NUMBERED_CLASSES = 20;
/** More classes than this are no classes, unless somebody says so. */
const MOST_CLASSES = 1000;

/**
 * Finds out what kind of labels rows have, and what their classes are. Numbers with a fraction, or of more than 20 values, are scores;
 * lists, or columns of their own, are several labels; anything else names classes, which are numbered in the order of their names (of
 * numbers, in the order of their values).
 * @param kind what the user says it is
 * @throws UffbError when no row has a label, all have the same, or there are more classes than texts could have
 */
export function findLabels(
  rows: readonly Row[],
  columns: readonly string[],
  source: string,
  kind?: Kind,
): Labels {
  if (columns.length > 1) {
    if (kind !== undefined && kind !== "multi-label")
      throw new UffbError(`several --label columns are for multi-label tasks; name one for ${kind}`);
    return { kind: "multi-label", names: columns, columns };
  }
  const [column] = columns as [string];
  const values = rows.map((row) => row.get([column])).filter((value) => !isMissing(value));
  if (values.length === 0) throw new UffbError(`${source}: no row has anything in column ${shown(column)}`);
  const found = kind ?? guessKind(values);
  if (found === "regression") {
    const scores = new Set(values.map(toNumber));
    if (scores.size < 2 && !scores.has(Number.NaN))
      throw new UffbError(
        `${source}: every row has the score ${shown(values[0])}; there is nothing to learn`,
      );
    return { kind: found, names: [], columns };
  }
  const names = [
    ...new Set(values.flatMap((value) => (found === "multi-label" ? parts(value) : className(value)))),
  ];
  if (found === "classification" && names.length < 2)
    throw new UffbError(`${source}: every row has the label ${shown(names[0])}; there is nothing to learn`);
  if (names.length === 0) throw new UffbError(`${source}: no row has any label in column ${shown(column)}`);
  if (names.length > MOST_CLASSES && kind === undefined) {
    throw new UffbError(
      `${source}: column ${shown(column)} has ${names.length} different labels; is it the right one? If so, say --task classification`,
    );
  }
  return { kind: found, names: sortNames(names), columns };
}

/** The label of a row, or why it has none. */
export function toTarget(row: Row, { kind, names, columns }: Labels): Target | { error: string } {
  if (columns.length > 1) {
    const flags = columns.map((column) => toFlag(row.get([column])));
    const wrong = flags.indexOf(undefined);
    if (wrong < 0) return flags as number[];
    return {
      error: `${shown(row.get([columns[wrong]!]))} in column ${shown(columns[wrong])} is neither 0 nor 1`,
    };
  }
  const value = row.get(columns);
  if (kind === "multi-label") {
    const given = isMissing(value) ? [] : parts(value);
    const foreign = given.find((name) => !names.includes(name));
    return foreign === undefined
      ? names.map((name) => Number(given.includes(name)))
      : unknown(foreign, names);
  }
  if (isMissing(value)) return { error: "no label" };
  if (kind === "regression") {
    const score = toNumber(value);
    return Number.isFinite(score) ? score : { error: `${shown(value)} is not a number` };
  }
  const name = className(value);
  const found = names.indexOf(name);
  return found < 0 ? unknown(name, names) : found;
}

function unknown(name: string, names: readonly string[]): { error: string } {
  const list =
    names.length > 12 ? `${names.slice(0, 12).map(shown).join(", ")} …` : names.map(shown).join(", ");
  return { error: `the label ${shown(name)} is not among those of the training data: ${list}` };
}

function guessKind(values: readonly unknown[]): Kind {
  if (values.every(Array.isArray)) return "multi-label";
  const numbers = values.map(toNumber);
  if (!numbers.every(Number.isFinite)) return "classification";
  const fractions = numbers.some((value) => !Number.isInteger(value));
  return fractions || new Set(numbers).size > MOST_NUMBERED_CLASSES ? "regression" : "classification";
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === "string" && value.trim() === "");
}

function toNumber(value: unknown): number {
  if (typeof value === "string") return value.trim() === "" ? Number.NaN : Number(value);
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : Number.NaN;
}

const FLAGS: Readonly<Record<string, number>> = {
  "0": 0,
  "1": 1,
  "0.0": 0,
  "1.0": 1,
  false: 0,
  true: 1,
  no: 0,
  yes: 1,
};

function toFlag(value: unknown): number | undefined {
  return isMissing(value) ? 0 : FLAGS[String(value).trim().toLowerCase()];
}

function className(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value).trim();
}

/** The labels of a list, or of text with `;`, `|` or `,` between them. */
function parts(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : String(value).split(/[;|,]/);
  return list.map(className).filter((name) => name !== "");
}

function sortNames(names: readonly string[]): string[] {
  const byValue = names.every((name) => name !== "" && Number.isFinite(Number(name)));
  return byValue ? names.toSorted((a, b) => Number(a) - Number(b)) : names.toSorted();
}

function shown(value: unknown): string {
  return show(typeof value === "bigint" ? String(value) : value);
}
