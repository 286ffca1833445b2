import { UffbError, UsageError } from "../../base/errors.ts";
import { show } from "../../base/json.ts";
import type { BadRow, Row } from "../../rows/rows.ts";
import { type ColumnFlags, type Columns, chooseColumns } from "./columns.ts";
import { findLabels, type Kind, type Labels, type Target, toTarget } from "./labels.ts";
import { holdOut } from "./split.ts";
import { readTable, type Table } from "./table.ts";

/** One example of a user's own data. */
export interface OwnExample {
  /** The file, and the line (parquet: row) of it. */
  source: string;
  line: number;
  /** One, or a pair. */
  texts: readonly string[];
  target: Target;
}

/** Where examples come from, for the record. */
export interface Origin {
  path: string;
  rows: number;
  /** Rows left out because they cannot be read. */
  left: number;
  sha256: string;
}

export interface OwnData {
  labels: Labels;
  columns: Columns;
  train: OwnExample[];
  valid: OwnExample[];
  origins: Origin[];
  /** What a user should know, and what was guessed. */
  notes: string[];
  warnings: string[];
}

export interface OwnOptions extends ColumnFlags {
  /** A file of its own to validate on; else a part of the data is held out. */
  valid?: string | undefined;
  /** How much of the data that is; 0 to below 1. */
  split: number;
  seed: number;
  kind?: Kind | undefined;
  /** Leave rows out that cannot be read, instead of refusing the file. */
  skipBad?: boolean | undefined;
}

/** Rows that are named when a file has several bad ones. */
const NAMED = 3;

/**
 * Reads a file of labelled texts to train on, and what to validate on.
 * @throws UffbError before anything is trained: for bad rows, one class alone, labels that training data do not have
 */
export async function readExamples(path: string, options: OwnOptions): Promise<OwnData> {
  const table = await readTable(path);
  const columns = chooseColumns(table, options);
  const labels = findLabels(table.rows, columns.labels, path, options.kind);
  const all = toExamples(table, columns, labels, options);
  const warnings = all.warnings;
  const origins = [all.origin];
  let train = all.examples;
  let valid: OwnExample[] = [];
  if (options.valid !== undefined) {
    const other = await readTable(options.valid);
    for (const name of [...columns.texts, ...columns.labels]) {
      if (other.columns.includes(name)) continue;
      const has = other.columns.map((column) => show(column)).join(", ");
      throw new UsageError(`${options.valid}: has no column ${show(name)}, which ${path} has; it has ${has}`);
    }
    const read = toExamples(other, columns, labels, options);
    valid = read.examples;
    origins.push(read.origin);
    warnings.push(...read.warnings);
  } else if (options.split > 0) {
    const held = new Set(
      holdOut(
        train.map(({ target }) => target),
        labels.kind,
        options.split,
        options.seed,
      ),
    );
    valid = train.filter((_, i) => held.has(i));
    train = train.filter((_, i) => !held.has(i));
    if (valid.length === 0)
      throw new UffbError(
        `${path}: ${train.length} examples are too few to hold ${100 * options.split} in a hundred out; add more, give --valid, or --split 0`,
      );
  }
  if (labels.kind === "classification") warnings.push(...classWarnings(labels, valid));
  return {
    labels,
    columns,
    train,
    valid,
    origins,
    notes:
      columns.guessed === ""
        ? []
        : [`${path}: ${columns.guessed}; --text, --text-pair and --label choose others`],
    warnings,
  };
}

function toExamples(table: Table, columns: Columns, labels: Labels, { skipBad }: OwnOptions) {
  const { source } = table;
  const examples: OwnExample[] = [];
  const bad: BadRow[] = [...table.bad];
  for (const row of table.rows) {
    const texts = toTexts(row, columns.texts);
    const target = "error" in texts ? texts : toTarget(row, labels);
    if (typeof target === "object" && "error" in target) bad.push({ line: row.line, error: target.error });
    else examples.push({ source, line: row.line, texts: texts as string[], target });
  }
  bad.sort((a, b) => a.line - b.line);
  const first = bad
    .slice(0, NAMED)
    .map(({ line, error }) => `line ${line} (${error})`)
    .join(", ");
  const which = `${first}${bad.length > NAMED ? ` and ${bad.length - NAMED} more` : ""}`;
  if (bad.length > 0 && !skipBad)
    throw new UffbError(`${source}: cannot use ${which}; mend them, or leave them out with --skip-bad`);
  if (examples.length === 0) throw new UffbError(`${source}: no row can be used: ${which}`);
  const { sha256 } = table;
  return {
    examples,
    origin: { path: source, rows: examples.length, left: bad.length, sha256 },
    warnings: bad.length > 0 ? [`${source}: left out ${which}`] : [],
  };
}

function toTexts(row: Row, columns: readonly string[]): string[] | { error: string } {
  const texts: string[] = [];
  for (const [i, column] of columns.entries()) {
    const value = row.get([column]);
    const isText = typeof value === "string" || typeof value === "number" || typeof value === "bigint";
    if (value !== undefined && !isText) return { error: `column ${show(column)} holds no text` };
    // An empty second text is a text; an empty first one says nothing.
    if (value === undefined || (i === 0 && String(value).trim() === ""))
      return { error: `no text in column ${show(column)}` };
    texts.push(String(value));
  }
  return texts;
}

/** Classes that no example to validate on has. */
function classWarnings({ names }: Labels, valid: readonly OwnExample[]): string[] {
  if (valid.length === 0) return [];
  const there = new Set(valid.map(({ target }) => target));
  const missing = names.filter((_, c) => !there.has(c)).map(show);
  if (missing.length === 0) return [];
  const more = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : "";
  return [
    `no example to validate on has the label ${missing.slice(0, NAMED).join(", ")}${more}; scores say nothing about it`,
  ];
}
