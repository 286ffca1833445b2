/** What a command accepts, as data. Keys are camelCase; the flag is the key in kebab case (`topK` is `--top-k`). */
import { COMPUTES } from "../../lib/train/recipe.ts";

interface Common {
  description: string;
  /** The title that the help shows it under. */
  group?: string;
  /** One letter: `k` for `-k`. */
  alias?: string;
  required?: boolean;
  /** The name of the value in the help: `--model <path>`. */
  valueHint?: string;
}

export interface StringArg extends Common {
  type: "string";
  default?: string;
  /** The flag may be repeated; the value is the list of all given. */
  multiple?: boolean;
}

export interface NumberArg extends Common {
  type: "number";
  default?: number;
  min?: number;
  max?: number;
  integer?: boolean;
  multiple?: boolean;
}

export interface EnumArg extends Common {
  type: "enum";
  options: readonly string[];
  default?: string;
  multiple?: boolean;
}

/** `--name`, and `--no-name` for its opposite. */
export interface BooleanArg extends Common {
  type: "boolean";
  default?: boolean;
  negativeDescription?: string;
}

export type Arg = StringArg | NumberArg | EnumArg | BooleanArg;
export type Args = Record<string, Arg>;

/** What follows the flags. Only the last may be `multiple`; all but `required` ones may be left out. */
export interface Positional {
  name: string;
  description: string;
  required?: boolean;
  multiple?: boolean;
}

type Base<A extends Arg> = A extends { type: "number" }
  ? number
  : A extends { type: "enum"; options: readonly (infer O)[] }
    ? O
    : string;

type Optional<A extends Arg, V> = A extends { default: NonNullable<unknown> } | { required: true }
  ? V
  : V | undefined;

/** The parsed value of one argument: booleans are false and `multiple` ones empty when not given. */
export type Value<A extends Arg> = A extends { type: "boolean" }
  ? boolean
  : A extends { multiple: true }
    ? Base<A>[]
    : Optional<A, Base<A>>;

export type Values<A extends Args> = { [K in keyof A]: Value<A[K]> };

/** `topK` to `top-k`; a key that is kebab case already stays so. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The flags, all under one title of the help. Groups stand there in the order of their first flags. */
export function grouped<const A extends Args>(group: string, args: A): A {
  return Object.fromEntries(Object.entries(args).map(([key, arg]) => [key, { ...arg, group }])) as Args as A;
}

/** The flags of commands that can run a model's encoder elsewhere; openDevice reads them. */
export const deviceArgs = grouped("RUNNING", {
  device: {
    type: "string",
    valueHint: "cpu|cuda|cuda:N",
    description: "Where the encoder runs; heads always run on the CPU; default: cpu",
  },
  deviceDtype: {
    type: "enum",
    options: ["f32", "f16", "bf16"],
    description: "Of weights and activations on a device; f16 and bf16 are less exact; default: f32",
  },
});

/** The flag of commands that train. */
export const computeArg = {
  type: "enum",
  options: COMPUTES,
  description:
    "What linear layers multiply: f32, or numbers rounded to bf16, whose sums, and all else, stay f32: fast on CPUs with AMX; default: f32",
} as const satisfies Arg;

/** What commands that read a table with labels call its columns, and do with bad rows. */
export const textArg = {
  type: "string",
  valueHint: "column",
  description: "Column of the text; default: an obvious one",
} as const satisfies Arg;
export const textPairArg = {
  type: "string",
  valueHint: "column",
  description: "Column of the second text, of pairs",
} as const satisfies Arg;
export const skipBadArg = {
  type: "boolean",
  description: "Leave out rows that cannot be used, instead of stopping with an error",
} as const satisfies Arg;

/** How many neurons or heads a smaller model has: at least one. */
export function sizeArg(valueHint: "neurons" | "heads" | "units", description: string) {
  return {
    type: "number",
    integer: true,
    min: 1,
    max: 1 << 24,
    valueHint,
    description,
  } as const satisfies Arg;
}

/** The flag of every command that runs a model. */
export const threadsArg = {
  type: "number",
  group: "RUNNING",
  integer: true,
  min: 0,
  max: 1024,
  description: "CPU threads; default: all that this process may use",
} as const satisfies Arg;
