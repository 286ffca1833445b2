import { UsageError } from "../../base/errors.ts";
import { obviousTexts } from "../../rows/columns.ts";
import type { Table } from "./table.ts";

/** Which columns hold what, as the user says it. */
export interface ColumnFlags {
  text?: string | undefined;
  textPair?: string | undefined;
  /** Several are the labels of a multi-label task, each 0 or 1. */
  label?: readonly string[] | undefined;
}

export interface Columns {
  /** One, or the two of a pair. */
  texts: readonly string[];
  labels: readonly string[];
  /** What was not said but found, for the user to check; empty when all was said. */
  guessed: string;
}

const LABELS = [
  "label",
  "labels",
  "class",
  "category",
  "target",
  "gold_label",
  "sentiment",
  "intent",
  "score",
  "rating",
  "stars",
];

/**
 * Finds the columns of texts and labels: those that were named, and of the others the ones with an obvious name, whatever its case; of two
 * columns the other one.
 * @throws UsageError when a named column is not there, or none is obvious
 */
export function chooseColumns(
  { source, columns }: Pick<Table, "source" | "columns">,
  flags: ColumnFlags,
): Columns {
  const has = `${source} has the columns ${columns.map((name) => JSON.stringify(name)).join(", ")}`;
  checkFlags(columns, flags, has);
  const said = { texts: namedTexts(flags), labels: flags.label ?? [] };
  const obvious = {
    texts:
      said.texts.length > 0
        ? said.texts
        : obviousTexts(columns.filter((column) => !said.labels.includes(column))),
    labels: said.labels.length > 0 ? said.labels : obviousLabel(columns, said.texts),
  };
  // Where only one column is left, it is what was not found.
  const others = (taken: readonly string[]) => columns.filter((column) => !taken.includes(column));
  const left = others([...obvious.texts, ...obvious.labels]);
  const rest = left.length === 1 ? left : [];
  const texts = obvious.texts.length > 0 ? obvious.texts : obvious.labels.length > 0 ? rest : [];
  const labels = obvious.labels.length > 0 ? obvious.labels : obvious.texts.length > 0 ? rest : [];
  if (texts.length === 0) throw new UsageError(`which column is the text? Say --text; ${has}`);
  if (labels.length === 0) throw new UsageError(`which column is the label? Say --label; ${has}`);
  const all = [...texts, ...labels];
  const twice = all.find((name, i) => all.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`column ${JSON.stringify(twice)} is named twice`);
  return { texts, labels, guessed: guesses(said, texts, labels) };
}

function checkFlags(
  columns: readonly string[],
  { text, textPair, label = [] }: ColumnFlags,
  has: string,
): void {
  const given = [["text", text], ["text-pair", textPair], ...label.map((name) => ["label", name])];
  for (const [flag, name] of given) {
    if (name !== undefined && !columns.includes(name))
      throw new UsageError(`--${flag} ${name} is not a column; ${has}`);
  }
  if (textPair !== undefined && text === undefined)
    throw new UsageError("--text-pair is the second text; name the first one, too, with --text");
}

function namedTexts({ text, textPair }: ColumnFlags): string[] {
  return [text, textPair].filter((name) => name !== undefined);
}

function obviousLabel(columns: readonly string[], taken: readonly string[]): readonly string[] {
  const free = columns.filter((column) => !taken.includes(column));
  return LABELS.flatMap((name) => free.find((column) => column.toLowerCase() === name) ?? []).slice(0, 1);
}

function guesses(
  said: Pick<Columns, "texts" | "labels">,
  texts: readonly string[],
  labels: readonly string[],
): string {
  const found = [
    ...(said.texts.length > 0 ? [] : texts.map((name, i) => [i === 0 ? "text" : "second text", name])),
    ...(said.labels.length > 0 ? [] : labels.map((name) => ["label", name])),
  ];
  return found.map(([what, name]) => `${what} from column ${JSON.stringify(name)}`).join(", ");
}
