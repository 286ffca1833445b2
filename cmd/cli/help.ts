/** The help of a command, from what it accepts: at most as wide as the terminal, wrapped at words. */
import { type Term, termLines, termWidth, wrap } from "../../lib/base/wrap.ts";
import { type Arg, type Args, flagName, type Positional } from "./args.ts";

/** A further part of the help: paragraphs, and terms with what they mean. */
export type Section = readonly (string | Term)[];

export interface Help {
  /** "uffb infer" */
  program: string;
  description: string;
  positionals: readonly Positional[];
  args: Args;
  /** Command lines as typed. The first two come before the flags, the others after them. */
  examples: readonly string[];
  /** By title. */
  sections: Readonly<Record<string, Section>>;
  exitCodes: Readonly<Record<number, string>>;
}

/** The title of flags that name no group. */
const NO_GROUP = "OPTIONS";
/** Examples at the top: what most people come for. */
const FIRST_EXAMPLES = 2;
const INDENT = 2;

export function helpText(help: Help, columns: number): string {
  const { positionals, args, examples, sections, exitCodes } = help;
  const flags = Object.entries(args).map(([key, arg]) => ({
    group: arg.group ?? NO_GROUP,
    rows: flagRows(key, arg),
  }));
  const groups = Map.groupBy(flags, ({ group }) => group);
  const named = positionals.map((one): Term => [placeName(one), one.description]);
  const width = termWidth([...named, ...flags.flatMap(({ rows }) => rows)].map(([term]) => term));
  const terms = (rows: readonly Term[]) => termLines(rows, { columns, width });
  const codes = Object.entries(exitCodes).map(([code, meaning]): Term => [code.padStart(3), meaning]);
  return [
    ...wrap(help.description, columns),
    ...part("USAGE", usageLines(help, columns)),
    ...part("EXAMPLES", exampleLines(examples.slice(0, FIRST_EXAMPLES), columns)),
    ...part("ARGUMENTS", terms(named)),
    ...[...groups].flatMap(([group, some]) => part(group, terms(some.flatMap(({ rows }) => rows)))),
    ...part("MORE EXAMPLES", exampleLines(examples.slice(FIRST_EXAMPLES), columns)),
    ...Object.entries(sections).flatMap(([title, section]) => part(title, sectionLines(section, columns))),
    ...part("EXIT CODES", termLines(codes, { columns })),
    "",
  ].join("\n");
}

/** A titled part, after an empty line; nothing where there are no lines. */
export function part(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", `\u001b[1m${title}\u001b[22m`, ...lines];
}

const indented = (lines: readonly string[], by = INDENT) => lines.map((line) => " ".repeat(by) + line);

function usageLines({ program, positionals, args }: Help, columns: number): string[] {
  const required = Object.entries(args).filter(([, arg]) => arg.required);
  const words = [
    program,
    ...required.map(([key, arg]) => `--${flagName(key)} ${placeholder(arg)}`),
    "[OPTIONS]",
    ...positionals.map((one) => (one.required ? placeName(one) : `[${placeName(one)}]`)),
  ];
  return indented(wrap(words.join(" "), columns - INDENT));
}

const placeName = ({ name, multiple }: Positional) => `${name.toUpperCase()}${multiple ? "..." : ""}`;

/** Choices up to this width stand in the flag itself, longer lists of them in what it means. */
const WIDEST_CHOICES = 22;

/** `<path>`, `<mean|first|max>`; "" of a boolean. */
function placeholder(arg: Arg): string {
  if (arg.type === "boolean") return "";
  if (arg.valueHint !== undefined) return `<${arg.valueHint}>`;
  if (arg.type === "number") return "<n>";
  const choices = arg.type === "enum" ? arg.options.join("|") : "";
  return choices !== "" && choices.length <= WIDEST_CHOICES ? `<${choices}>` : "<name>";
}

/** A flag, or the two of a boolean that can be turned off. */
function flagRows(key: string, arg: Arg): Term[] {
  const value = placeholder(arg);
  const name = arg.alias === undefined ? `--${flagName(key)}` : `-${arg.alias}, --${flagName(key)}`;
  const notes = [
    "multiple" in arg && arg.multiple ? `${arg.description} (may be repeated)` : arg.description,
    ...(arg.type === "enum" && !value.includes("|") ? [`one of ${arg.options.join(", ")}`] : []),
    ...(arg.default === undefined || arg.default === false
      ? []
      : [`default: ${arg.default === true ? "yes" : arg.default}`]),
  ];
  const row: Term = [value === "" ? name : `${name} ${value}`, notes.join("; ")];
  if (arg.type !== "boolean" || arg.negativeDescription === undefined) return [row];
  return [row, [`--no-${flagName(key)}`, arg.negativeDescription]];
}

function exampleLines(examples: readonly string[], columns: number): string[] {
  return indented(examples.flatMap((example) => shellLines(example, columns - INDENT)));
}

/**
 * A command line that a shell still takes when it is copied: a line that is too wide goes on after `\`, never within quotes, and a
 * comment at its end stands before it.
 */
export function shellLines(line: string, columns: number): string[] {
  if (Bun.stringWidth(line) <= columns) return [line];
  const [, command, comment] = /^(.*?)(?: +# (.*))?$/.exec(line)!;
  const words = command!.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [];
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    // Two columns are kept for the backslash.
    if (last !== undefined && Bun.stringWidth(`${last} ${word}`) <= columns - 2)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(last === undefined ? word : `    ${word}`);
  }
  const broken = lines.map((text, i) => (i + 1 < lines.length ? `${text} \\` : text));
  return comment === undefined
    ? broken
    : [...wrap(comment, columns - 2).map((text) => `# ${text}`), ...broken];
}

/** Neighbouring terms line up. */
function sectionLines(section: Section, columns: number): string[] {
  const width = termWidth(section.flatMap((one) => (typeof one === "string" ? [] : [one[0]])));
  return section.flatMap((one) =>
    typeof one === "string" ? indented(wrap(one, columns - INDENT)) : termLines([one], { columns, width }),
  );
}
