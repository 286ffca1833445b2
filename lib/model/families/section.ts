import { UffbError } from "../../base/errors.ts";
import { quoted } from "../../base/printable.ts";

type Json = Record<string, unknown>;

/**
 * An object of a config.json, read key by key. Every key must be read, or declared to have no effect: `finish` rejects what is left,
 * because a setting that is silently ignored gives wrong numbers.
 */
export class Section {
  readonly #values: Json;
  readonly #source: string;
  readonly #path: string;
  readonly #read = new Set<string>();
  readonly #ignored = new Set<string>();

  constructor(value: unknown, source: string, path = "") {
    this.#source = source;
    this.#path = path;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new UffbError(`${source}: ${path.slice(0, -1) || "the file"} must be a JSON object`);
    }
    this.#values = value as Json;
  }

  /** The error of a key whose value cannot be used. */
  bad(key: string, why: string): UffbError {
    const value = JSON.stringify(this.get(key))?.slice(0, 100) ?? "missing";
    return new UffbError(`${this.#source}: ${this.#path}${key} is ${value}; ${why}`);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#values, key) && this.#values[key] !== null;
  }

  keys(): string[] {
    return Object.keys(this.#values);
  }

  get(key: string): unknown {
    this.#read.add(key);
    return this.has(key) ? this.#values[key] : undefined;
  }

  section(key: string): Section {
    return new Section(this.get(key), this.#source, `${this.#path}${key}.`);
  }

  /** A count from `min` to `max`. */
  size(key: string, min: number, max: number): number {
    const value = this.get(key);
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw this.bad(key, `it must be a whole number from ${min} to ${max}`);
    }
    return value;
  }

  number(key: string, min: number, max: number): number {
    const value = this.get(key);
    if (typeof value !== "number" || !(value >= min && value <= max)) {
      throw this.bad(key, `it must be a number from ${min} to ${max}`);
    }
    return value;
  }

  flag(key: string, absent: boolean): boolean {
    const value = this.get(key) ?? absent;
    if (typeof value !== "boolean") throw this.bad(key, "it must be true or false");
    return value;
  }

  /** What the key's value stands for. */
  choice<T>(key: string, choices: Readonly<Record<string, T>>, absent?: string): T {
    const value = this.get(key) ?? absent;
    if (typeof value === "string" && Object.hasOwn(choices, value)) return choices[value] as T;
    throw this.bad(key, `supported: ${Object.keys(choices).join(", ")}`);
  }

  /** Checks a key that has one supported value; one that is not there is that. */
  only(key: string, value: string | number | boolean): void {
    const found = this.get(key) ?? value;
    if (found !== value) throw this.bad(key, `only ${JSON.stringify(value)} is supported`);
  }

  /** Keys that were asked for and are there. */
  readKeys(): Set<string> {
    return new Set(this.keys().filter((key) => this.#read.has(key)));
  }

  /** Declares keys that change nothing here: training settings, or what the tensors themselves tell. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#ignored.add(key);
  }

  /** Refuses keys nobody asked for, unless they are switched off. */
  finish(): void {
    for (const [key, value] of Object.entries(this.#values)) {
      if (this.#read.has(key) || this.#ignored.has(key) || value === null || value === false) continue;
      throw this.bad(quoted(key), "this setting is not known, so the model cannot be run as it was meant");
    }
  }
}
