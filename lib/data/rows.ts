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

/** A row from an object, as JSON lines and parquet have them. */
export function objectRow(line: number, value: Record<string, unknown>): Row {
  return {
    line,
    columns: () => Object.keys(value),
    get(names) {
      for (const name of names) {
        const found = descend(value, name.split("."));
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

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes as text, or undefined when they are not UTF-8. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The bytes without a byte order mark. */
export function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/** The lines of a file without their ends, LF or CRLF; what comes after the last end is a line unless it is empty. */
export function* lines(bytes: Uint8Array): Generator<{ line: number; bytes: Uint8Array }> {
  let start = 0;
  for (let line = 1; start < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    yield { line, bytes: bytes.subarray(start, end > start && bytes[end - 1] === 0x0d ? end - 1 : end) };
    start = end + 1;
  }
}
