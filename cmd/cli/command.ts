import { type CommandDef, defineCommand, runCommand } from "citty";
import { type Arg, type Args, grouped, type Positional, type Values } from "./args.ts";
import { helpText, type Section } from "./help.ts";
import { parse } from "./parse.ts";
import { COLORS, print, setAppearance, styled, textColumns } from "./terminal.ts";

export interface Definition<A extends Args> {
  meta: { name: string; description: string };
  args?: A;
  positionals?: readonly Positional[];
  /** Command lines, as typed, the most common two first; shown by --help. */
  examples?: readonly string[];
  /** Further parts of the help, by title: what columns and fields mean, for example. */
  sections?: Readonly<Record<string, Section>>;
  /** What the exit codes mean beyond the common ones: `{ 1: "a path differs" }`. */
  exitCodes?: Readonly<Record<number, string>>;
  /** Does the work. Resolves to the exit code; nothing means 0. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most commands return nothing
  run(context: { args: Values<A>; positionals: string[] }): Promise<number | void> | number | void;
}

export type Command = CommandDef;

/** Reads the words after a command's name, prints the help or runs the command; resolves to the exit code. */
export async function runLine(command: Command, line: readonly string[]): Promise<number> {
  const { result } = await runCommand(command, { rawArgs: [...line] });
  return result as number;
}

/** Flags that every command has. main.ts acts on --verbose. */
export const COMMON = grouped("OTHER", {
  quiet: { type: "boolean", alias: "q", description: "Say nothing on stderr but errors" },
  color: {
    type: "enum",
    options: COLORS,
    description: "Colours; default: auto, on a terminal and not with NO_COLOR",
  },
  verbose: { type: "boolean", description: "Show the stack of an error, too" },
  help: { type: "boolean", alias: "h", description: "Show this help" },
});

/** What exit codes mean, in every command. */
export const EXIT_CODES: Readonly<Record<number, string>> = {
  0: "success",
  1: "failure",
  2: "wrong usage",
  130: "interrupted",
};

/**
 * Defines a command in citty's terms. Its parser and its usage text are not used: the parser accepts unknown flags, keeps the last of
 * repeated ones, knows no numbers and prints usage on stdout when it fails; the text knows no groups and no width.
 */
export function command<const A extends Args = Record<never, Arg>>(definition: Definition<A>): Command {
  const { meta, positionals = [], examples = [], sections = {}, exitCodes = {} } = definition;
  const args = { ...((definition.args ?? {}) as A), ...COMMON };
  return defineCommand({
    meta,
    async run({ rawArgs }) {
      if (wantsHelp(rawArgs)) {
        const help = { positionals, args, examples, sections, exitCodes: { ...EXIT_CODES, ...exitCodes } };
        print(
          styled(
            helpText({ program: `uffb ${meta.name}`, description: meta.description, ...help }, textColumns()),
          ),
        );
        return 0;
      }
      const parsed = parse(rawArgs, args, positionals);
      const { quiet, color } = parsed.args as Values<typeof COMMON>;
      setAppearance({ quiet, color });
      const code = await definition.run({
        args: parsed.args as unknown as Values<A>,
        positionals: parsed.positionals,
      });
      return code ?? 0;
    },
  });
}

/** Help is what is wanted even where the rest of the line is wrong. */
function wantsHelp(line: readonly string[]): boolean {
  const end = line.indexOf("--");
  const flags = end < 0 ? line : line.slice(0, end);
  return flags.some((word) => word === "--help" || word === "-h");
}
