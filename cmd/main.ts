#!/usr/bin/env bun
import { UsageError } from "../lib/base/errors.ts";
import { endOnSignals } from "../lib/base/signals.ts";
import { asUffbError } from "../lib/base/system.ts";
import { type Term, termLines, wrap } from "../lib/base/wrap.ts";
import { version } from "../package.json";
import { didYouMean } from "./cli/closest.ts";
import { type Command, EXIT_CODES, runLine } from "./cli/command.ts";
import { part } from "./cli/help.ts";
import { BrokenPipe, print, styled, textColumns } from "./cli/terminal.ts";

interface Entry {
  description: string;
  load: () => Promise<{ default: Command }>;
}

/** Each command is loaded when it is run, so that the start of one is not slowed by the others. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  infer: {
    description: "Fill [MASK], classify, score or embed text",
    load: () => import("./infer.ts"),
  },
  tokenize: {
    description: "Show the tokens that a model sees, and their ids",
    load: () => import("./tokenize.ts"),
  },
  convert: {
    description: "Pack a model into one file that opens in milliseconds, or unpack it",
    load: () => import("./convert.ts"),
  },
  download: {
    description: "Download a model or data set to the cache that Python shares",
    load: () => import("./download.ts"),
  },
  inspect: {
    description: "Show what a model is made of, and how texts fall through its trees",
    load: () => import("./inspect.ts"),
  },
  verify: {
    description: "Compare every stage of a model with what its original code computed",
    load: () => import("./verify.ts"),
  },
  glue: {
    description: "Fine-tune and evaluate a model on GLUE and SuperGLUE, or compare two",
    load: () => import("./glue.ts"),
  },
  finetune: {
    description: "Train a classifier on your own labelled texts",
    load: () => import("./finetune.ts"),
  },
  distill: {
    description: "Train a smaller model to say what a larger one says",
    load: () => import("./distill.ts"),
  },
  prune: {
    description: "Take the neurons and attention heads out of a classifier that matter least to its task",
    load: () => import("./prune.ts"),
  },
  ladder: {
    description: "Make a classifier cheaper step by step, and show what each step is worth",
    load: () => import("./ladder.ts"),
  },
  vocab: {
    description: "Learn a WordPiece tokenizer from text, for uffb pretrain",
    load: () => import("./vocab.ts"),
  },
  pretrain: {
    description: "Train a new masked language model on text, trees or dense layers",
    load: () => import("./pretrain.ts"),
  },
  lab: {
    description: "Train models alike that differ in one thing, and show what it is worth",
    load: () => import("./lab.ts"),
  },
  bench: {
    description: "Time fast feedforward layers and encoders against the fastest dense ones",
    load: () => import("./bench.ts"),
  },
};

function usage(): string {
  const columns = textColumns();
  const terms = (rows: readonly Term[]) => termLines(rows, { columns });
  const commands = Object.entries(COMMANDS).map(([name, { description }]): Term => [name, description]);
  const codes = Object.entries(EXIT_CODES).map(([code, meaning]): Term => [code.padStart(3), meaning]);
  const lines = [
    ...wrap(`uffb ${version}: runs UltraFastBERT and other encoders with fast feedforward layers`, columns),
    ...part("USAGE", ["  uffb COMMAND [OPTIONS] [ARGUMENTS]"]),
    ...part("EXAMPLES", [
      '  uffb infer "The film was [MASK] by Steven Spielberg."',
      "  uffb infer --json < sentences.txt | head",
    ]),
    ...part("COMMANDS", terms(commands)),
    ...part("OPTIONS", terms(OPTIONS)),
    ...part("EXIT CODES", terms(codes)),
  ];
  return styled(`${lines.join("\n")}\n`);
}

const OPTIONS: readonly Term[] = [
  ["--version", "Show the version; with --verbose also the build and the machine, for reports"],
  ["--verbose", "Show the stack of an error, too (also UFFB_DEBUG=1)"],
  ["-h, --help", "Show this help; uffb COMMAND --help shows a command's"],
];

/** Finds the command and runs it; resolves to the exit code. */
async function run(line: readonly string[]): Promise<number> {
  const at = line.findIndex((word) => word !== "--verbose");
  const [word, rest] = at < 0 ? [undefined, []] : [line[at]!, line.slice(at + 1)];
  if (word === undefined) {
    await complain(usage().trimEnd());
    return 2;
  }
  if (word === "--help" || word === "-h") {
    print(usage());
    return 0;
  }
  if (word === "--version") {
    const all = at > 0 || rest.includes("--verbose");
    print(all ? (await import("./cli/version.ts")).versionText() : `${version}\n`);
    return 0;
  }
  if (word.startsWith("-")) {
    const hint = /^-v$/i.test(word)
      ? "; did you mean --version?"
      : didYouMean(word, ["--help", "--version", "--verbose"]);
    throw new UsageError(`unknown flag ${word}${hint || "; flags of a command stand after its name"}`);
  }
  if (word === "help") return run(rest.length > 0 ? [rest[0]!, "--help"] : ["--help"]);
  const entry = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  if (entry === undefined) throw new UsageError(`unknown command ${word}${hintFor(word)}`);
  const { default: command } = await entry.load();
  return runLine(command, rest);
}

/** What does the work that people call by these words. */
const MEANT: Readonly<Record<string, string>> = {
  classify: "infer --model CLASSIFIER",
  predict: "infer --model CLASSIFIER",
  score: "infer --model CLASSIFIER",
  run: "infer",
  fill: 'infer "Text with a [MASK]."',
  mask: 'infer "Text with a [MASK]."',
  embed: "infer --embed",
  encode: "infer --embed",
  vectors: "infer --embed",
  similar: "infer --similar QUERY",
  search: "infer --similar QUERY",
  train: "finetune",
  eval: "glue",
  evaluate: "glue",
  benchmark: "bench",
  pack: "convert",
  quantize: "convert --dtype int8",
  version: "--version",
};

function hintFor(word: string): string {
  const meant = Object.hasOwn(MEANT, word) ? MEANT[word] : undefined;
  if (meant !== undefined) return `; did you mean uffb ${meant}?`;
  return didYouMean(word, Object.keys(COMMANDS)) || "; uffb --help lists them";
}

/** Says what went wrong in one line, and returns the exit code. What is not a UffbError is a bug: it says so and shows its stack. */
async function fail(error: unknown, verbose: boolean): Promise<number> {
  if (error instanceof BrokenPipe) return 0;
  const known = asUffbError(error);
  const { message, stack } = known ?? (error instanceof Error ? error : new Error(String(error)));
  const { messages } = await import("./cli/messages.ts");
  messages.error(
    known
      ? message.replace(/\s*\n\s*/g, " ")
      : `${message} (a bug in uffb ${version}; please report it, with what uffb --version --verbose says)`,
  );
  if (verbose || !known) messages.log(stack);
  return known?.exitCode ?? 1;
}

async function complain(text: string): Promise<void> {
  const { messages } = await import("./cli/messages.ts");
  messages.log(text);
}

function wantsStack(line: readonly string[]): boolean {
  const end = line.indexOf("--");
  const { UFFB_DEBUG } = process.env;
  return (end < 0 ? line : line.slice(0, end)).includes("--verbose") || (!!UFFB_DEBUG && UFFB_DEBUG !== "0");
}

/** The whole program. */
export async function main(): Promise<never> {
  endOnSignals();
  const line = process.argv.slice(2);
  process.exit(await run(line).catch((error) => fail(error, wantsStack(line))));
}

if (import.meta.main) void main();
