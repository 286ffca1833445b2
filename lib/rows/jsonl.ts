import { isObject, tryJson } from "../base/json.ts";
import { type Line, linesOf, readLines } from "./lines.ts";
import { type BadRow, BLANK, objectRow, type Row } from "./rows.ts";

/** The error of a line that is something else than an object, damaged or not. */
export const NO_OBJECT = "not a JSON object";

/** The rows of a stream of JSON lines: one object a line. */
export async function* jsonlRows(stream: AsyncIterable<Uint8Array>): AsyncGenerator<(Row | BadRow)[]> {
  for await (const lines of readLines(stream)) yield lines.map(rowOf);
}

function rowOf(line: Line | BadRow): Row | BadRow {
  const value = objectOf(line);
  return "error" in value ? value : objectRow(line.line, value.object);
}

/**
 * Reads JSON lines as SuperGLUE has them: one object a line; blank lines are not rows. `expand` turns an object into several rows, where
 * a line holds more than one example.
 */
export function* readJsonl(
  bytes: Uint8Array,
  expand: (value: Record<string, unknown>) => (Record<string, unknown> | string)[] = (value) => [value],
): Generator<Row | BadRow> {
  for (const one of linesOf(bytes)) {
    const { line } = one;
    const value = objectOf(one);
    if ("object" in value) {
      for (const row of expand(value.object))
        yield typeof row === "string" ? { line, error: row } : objectRow(line, row);
    } else if (value.error !== BLANK) yield value;
  }
}

function objectOf(row: Line | BadRow): { object: Record<string, unknown> } | BadRow {
  if ("error" in row) return row;
  const { line, text } = row;
  if (text.trim() === "") return { line, error: BLANK };
  if (!text.trimStart().startsWith("{")) return { line, error: NO_OBJECT };
  const read = tryJson(text);
  if ("error" in read) return { line, error: read.error };
  return isObject(read.value) ? { object: read.value } : { line, error: NO_OBJECT };
}
