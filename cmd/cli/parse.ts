import { parseArgs } from "node:util";
import { UsageError } from "../../lib/base/errors.ts";
import { type Arg, type Args, flagName, type Positional, type Values } from "./args.ts";
import { didYouMean } from "./closest.ts";

export interface Parsed<A extends Args> {
  args: Values<A>;
  positionals: string[];
}

type Raw = string | boolean;

/**
 * Reads a command line strictly: every flag is known and given once, every value is of its type and in its range. Flags stand
 * before, between or after positionals; `--` ends them; `-` is a positional.
 *
 * @throws UsageError
 */
export function parse<A extends Args>(
  line: readonly string[],
  specs: A,
  positionalSpecs: readonly Positional[],
): Parsed<A> {
  const keys = new Map(Object.keys(specs).map((key) => [flagName(key), key]));
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const [flag, key] of keys) {
    const { type, alias } = specs[key]!;
    options[flag] = {
      type: type === "boolean" ? "boolean" : "string",
      ...(alias === undefined ? {} : { short: alias }),
    };
  }
  // Only its splitting into tokens is used: what they mean is decided below.
  const { tokens } = parseArgs({
    args: [...line],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const given = new Map<string, Raw[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const [key, value] = readFlag(token, specs, keys);
    const before = given.get(key);
    if (before === undefined) given.set(key, [value]);
    else if ("multiple" in specs[key]! && specs[key].multiple) before.push(value);
    else throw new UsageError(`${token.rawName} was given more than once`);
  }

  const args: Record<string, unknown> = {};
  for (const [flag, key] of keys) args[key] = finish(`--${flag}`, specs[key]!, given.get(key));
  checkPositionals(positionals, positionalSpecs);
  return { args: args as Values<A>, positionals };
}

interface OptionToken {
  name: string;
  rawName: string;
  value?: string | undefined;
  inlineValue?: boolean | undefined;
}

/** The key of the flag and its value as given: text, or for a boolean whether it was `--name` or `--no-name`. */
function readFlag(token: OptionToken, specs: Args, keys: ReadonlyMap<string, string>): [string, Raw] {
  const { name, rawName, value, inlineValue } = token;
  const key = keys.get(name);
  const opposite = key === undefined && name.startsWith("no-") ? keys.get(name.slice(3)) : undefined;
  const found = key ?? (opposite !== undefined && specs[opposite]?.type === "boolean" ? opposite : undefined);
  if (found === undefined) {
    const hint = rawName.startsWith("--") ? didYouMean(name, everyFlag(specs, keys), "--") : "";
    throw new UsageError(
      hint === ""
        ? `unknown flag ${rawName}; --help lists them, and text that starts with - goes after --`
        : `unknown flag ${rawName}${hint}`,
    );
  }
  if (specs[found]!.type === "boolean") {
    if (inlineValue) throw new UsageError(`${rawName} takes no value`);
    return [found, opposite === undefined];
  }
  if (value === undefined) throw new UsageError(`${rawName} needs a value`);
  if (!inlineValue && looksLikeFlag(value)) {
    throw new UsageError(`${rawName} needs a value; if ${value} is meant, write --${name}=${value}`);
  }
  return [found, value];
}

function looksLikeFlag(value: string): boolean {
  return value.startsWith("-") && value !== "-" && !NUMBER.test(value);
}

function* everyFlag(specs: Args, keys: ReadonlyMap<string, string>): Generator<string> {
  for (const [flag, key] of keys) {
    yield flag;
    if (specs[key]!.type === "boolean") yield `no-${flag}`;
  }
}

function finish(flag: string, spec: Arg, given: readonly Raw[] | undefined): unknown {
  if (given === undefined) {
    if (spec.required) throw new UsageError(`${flag} is missing`);
    if (spec.type === "boolean") return spec.default ?? false;
    if (spec.multiple) return spec.default === undefined ? [] : [spec.default];
    return spec.default;
  }
  if (spec.type === "boolean") return given[0];
  const values = given.map((text) => readValue(flag, spec, String(text)));
  return spec.multiple ? values : values[0];
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function readValue(flag: string, spec: Exclude<Arg, { type: "boolean" }>, text: string): string | number {
  if (spec.type === "string") return text;
  if (spec.type === "enum") {
    if (spec.options.includes(text)) return text;
    throw new UsageError(
      `${flag} is one of ${spec.options.join(", ")}, not "${text}"${didYouMean(text, spec.options)}`,
    );
  }
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  const wrong =
    !Number.isFinite(value) ||
    (spec.integer && !Number.isSafeInteger(value)) ||
    value < (spec.min ?? value) ||
    value > (spec.max ?? value);
  if (wrong) throw new UsageError(`${flag} is ${range(spec)}, not "${text}"`);
  return value;
}

function range({ integer, min, max }: { integer?: boolean; min?: number; max?: number }): string {
  const kind = integer ? "a whole number" : "a number";
  if (min !== undefined && max !== undefined) return `${kind} from ${min} to ${max}`;
  if (min !== undefined) return `${kind}, at least ${min}`;
  return max === undefined ? kind : `${kind}, at most ${max}`;
}

function checkPositionals(given: readonly string[], specs: readonly Positional[]): void {
  const missing = specs[given.length];
  if (missing?.required) throw new UsageError(`${missing.name.toUpperCase()} is missing`);
  if (given.length > specs.length && !specs.at(-1)?.multiple) {
    throw new UsageError(`unexpected argument "${given[specs.length]}"`);
  }
}
