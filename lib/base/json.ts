import { UffbError } from "./errors.ts";

/*
 * Checked reading of JSON, which may come from a stranger. `where` names the file and the place in it, and starts every message. No message
 * quotes a text that could not be parsed: it may be another file than was meant, with secrets in it.
 */

export type JsonObject = Record<string, unknown>;

/** Deepest nesting accepted: more than any file in use has, and little enough for functions that call themselves for each level. */
const MAX_DEPTH = 256;

/** Parses JSON: the value, or the reason why the text is not JSON. */
export function tryJson(text: string): { value: unknown } | { error: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { error: "not valid JSON" };
  }
  return isDeep(value) ? { error: `JSON nested more than ${MAX_DEPTH} deep` } : { value };
}

/**
 * Parses the JSON of a file that messages call `source`.
 *
 * @throws UffbError when it is not JSON
 */
export function readJson(text: string, source: string): unknown {
  const read = tryJson(text);
  if ("error" in read) throw new UffbError(`${source}: ${read.error}; get the file again`);
  return read.value;
}

/** The same for a file that holds an object. @throws UffbError when it does not */
export function readObject(text: string, source: string): JsonObject {
  return asObject(readJson(text, source), `${source}: the file`);
}

/** Goes level by level: a function that calls itself for each level would overflow the stack on what this is to find. */
function isDeep(value: unknown): boolean {
  let level: readonly unknown[] = [value];
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const next: unknown[] = [];
    for (const container of level) {
      if (typeof container !== "object" || container === null) continue;
      for (const child of Array.isArray(container) ? container : Object.values(container))
        if (typeof child === "object") next.push(child);
    }
    if (next.length === 0) return false;
    level = next;
  }
  return true;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function fail(where: string, what: string): never {
  throw new UffbError(`${where} ${what}`);
}

export function asObject(value: unknown, where: string): JsonObject {
  if (!isObject(value)) fail(where, "must be an object");
  return value;
}

export function asArray(value: unknown, where: string, maxLength: number): unknown[] {
  if (!Array.isArray(value)) fail(where, "must be a list");
  if (value.length > maxLength) fail(where, `has ${value.length} entries; at most ${maxLength} are accepted`);
  return value;
}

export function asString(value: unknown, where: string, maxLength: number): string {
  if (typeof value !== "string") fail(where, "must be a string");
  if (value.length > maxLength)
    fail(where, `has ${value.length} characters; at most ${maxLength} are accepted`);
  return value;
}

export function asInteger(value: unknown, where: string, min: number, max: number): number {
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
    fail(where, `must be an integer from ${min} to ${max}, not ${show(value)}`);
  }
  return value as number;
}

export function asFlag(value: unknown, where: string, absent: boolean): boolean {
  if (value === undefined || value === null) return absent;
  if (typeof value !== "boolean") fail(where, `must be true or false, not ${show(value)}`);
  return value;
}

/** Looks a component's `type` up in the table of those that are supported. */
export function pick<T>(table: Record<string, T>, config: JsonObject, where: string): T {
  const type = asString(config.type, `${where}.type`, 100);
  if (!Object.hasOwn(table, type)) {
    fail(`${where}.type`, `${show(type)} is not supported; supported are ${Object.keys(table).join(", ")}`);
  }
  return table[type]!;
}

/** A value for a message: on one line and short. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
