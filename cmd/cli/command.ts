import { type ArgsDef, type CommandDef, defineCommand, renderUsage } from "citty";
import { align } from "../../lib/base/table.ts";
import { type Arg, type Args, flagName, type Positional, type Values } from "./args.ts";
import { parse } from "./parse.ts";
import { hasColor, print } from "./terminal.ts";

export interface Definition<A extends Args> {
  meta: { name: string; description: string };
  args?: A;
  positionals?: readonly Positional[];
  /** Command lines, as typed; shown by --help. */
  examples?: readonly string[];
  /** Further parts of the help, by title: what columns and fields mean, for example. */
  sections?: Readonly<Record<string, readonly string[]>>;
  /** What the exit codes mean beyond the common ones: `{ 1: "a path differs" }`. */
  exitCodes?: Readonly<Record<number, string>>;
  /** Does the work. Resolves to the exit code; nothing means 0. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most commands return nothing
  run(context: { args: Values<A>; positionals: string[] }): Promise<number | void> | number | void;
}

export interface Command {
  /** Reads the command line after the command's name, prints the help or runs the command; resolves to the exit code. */
  run(line: readonly string[]): Promise<number>;
  readonly meta: { name: string; description: string };
}

/** Flags that every command has. main.ts acts on --verbose. */
const COMMON = {
  verbose: { type: "boolean", description: "Show the stack of an error, too" },
  help: { type: "boolean", alias: "h", description: "Show this help" },
} as const satisfies Args;

const EXIT_CODES: Readonly<Record<number, string>> = {
  0: "success",
  1: "failure",
  2: "wrong usage",
  130: "interrupted",
};

/**
 * Defines a command. citty holds the definition and renders its usage; citty's parser is not used, because it accepts unknown
 * flags, keeps the last of repeated ones, knows no numbers and prints usage on stdout when it fails.
 */
export function command<const A extends Args = Record<never, Arg>>(definition: Definition<A>): Command {
  const { meta, positionals = [] } = definition;
  const args = { ...((definition.args ?? {}) as A), ...COMMON };
  return {
    meta,
    async run(line) {
      if (wantsHelp(line)) {
        print(await help(definition, args));
        return 0;
      }
      const parsed = parse(line, args, positionals);
      const code = await definition.run({
        args: parsed.args as unknown as Values<A>,
        positionals: parsed.positionals,
      });
      return code ?? 0;
    },
  };
}

/** Help is what is wanted even where the rest of the line is wrong. */
function wantsHelp(line: readonly string[]): boolean {
  const end = line.indexOf("--");
  const flags = end < 0 ? line : line.slice(0, end);
  return flags.some((word) => word === "--help" || word === "-h");
}

async function help<A extends Args>(definition: Definition<A>, args: Args): Promise<string> {
  const cittyCommand: CommandDef = defineCommand({
    meta: definition.meta,
    args: cittyArgs(args, definition.positionals ?? []),
  });
  const codes = Object.entries({ ...EXIT_CODES, ...definition.exitCodes });
  const text = [
    (await renderUsage(cittyCommand, { meta: { name: "uffb" } })).replace(/ +$/gm, "").trimEnd(),
    ...section("EXAMPLES", definition.examples ?? []),
    ...Object.entries(definition.sections ?? {}).flatMap(([title, lines]) => section(title, lines)),
    ...section(
      "EXIT CODES",
      align(codes, (column) => column === 0),
    ),
    "",
  ].join("\n");
  return hasColor(1) ? text : Bun.stripANSI(text);
}

/** A part of the help in citty's style. */
function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return ["", `\u001b[4m\u001b[1m${title}\u001b[22m\u001b[24m`, "", ...lines.map((line) => `  ${line}`)];
}

/** Our table in citty's terms, for its usage text alone. */
function cittyArgs(args: Args, positionals: readonly Positional[]): ArgsDef {
  const out: ArgsDef = {};
  for (const { name, description, required, multiple } of positionals) {
    out[multiple ? `${name}...` : name] = { type: "positional", description, required: required ?? false };
  }
  for (const [key, arg] of Object.entries(args)) {
    out[flagName(key)] = cittyArg(arg);
  }
  return out;
}

function cittyArg(arg: Arg): ArgsDef[string] {
  const { description, alias, required } = arg;
  const common = {
    description: "multiple" in arg && arg.multiple ? `${description} (may be repeated)` : description,
    ...(alias === undefined ? {} : { alias }),
    ...(required === undefined ? {} : { required }),
    ...(arg.valueHint === undefined ? {} : { valueHint: arg.valueHint }),
  };
  if (arg.type === "boolean") {
    return {
      ...common,
      type: "boolean",
      ...(arg.default ? { default: true } : {}),
      ...(arg.negativeDescription === undefined ? {} : { negativeDescription: arg.negativeDescription }),
    };
  }
  const shown = arg.default === undefined ? {} : { default: String(arg.default) };
  if (arg.type === "enum") return { ...common, ...shown, type: "enum", options: [...arg.options] };
  return { ...common, ...shown, type: "string" };
}
