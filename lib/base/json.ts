import { UffbError } from "./errors.ts";

/*
 * Checked reading of a tokenizer.json, which may come from a stranger. `where` names the file and the place in it, and starts every message.
 */

export type JsonObject = Record<string, unknown>;

export function fail(where: string, what: string): never {
  throw new UffbError(`${where} ${what}`);
}

export function asObject(value: unknown, where: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(where, "must be an object");
  return value as JsonObject;
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
