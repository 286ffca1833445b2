import { isObject } from "../base/json.ts";

/** One row of a data file as stored, before its columns are interpreted. */
export interface Row {
  /** 1-based; of the first line of the row, or the number of the row in a parquet file. */
  line: number;
  /** The value of a column that has any of these names (a dot descends into an object), or undefined. */
  get(names: readonly string[]): unknown;
  /** The names of all its columns. */
  columns(): readonly string[];
}

/** A row that cannot be read, and why. Readers give each row as a Row or as one of these, and drop none. */
export interface BadRow {
  line: number;
  error: string;
}

/** The error of a row that is a blank line. */
export const BLANK = "blank line";

/** Whether a row is there at all: where rows are examples, a blank line is none. */
export const isThere = (row: object): boolean => !("error" in row && row.error === BLANK);

/** A row from an object, as JSON lines and parquet have them. */
export function objectRow(line: number, value: Record<string, unknown>): Row {
  return {
    line,
    columns: () => Object.keys(value),
    get(names) {
      for (const name of names) {
        const found = Object.hasOwn(value, name) ? value[name] : descend(value, name.split("."));
        if (found !== undefined && found !== null) return found;
      }
      return undefined;
    },
  };
}

function descend(value: unknown, path: readonly string[]): unknown {
  let current = value;
  for (const key of path) {
    if (!isObject(current) || !Object.hasOwn(current, key)) return undefined;
    current = current[key];
  }
  return current;
}
