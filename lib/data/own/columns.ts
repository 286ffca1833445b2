import { UsageError } from "../../base/errors.ts";
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
  texts: string[];
  labels: string[];
  /** What was not said but found, for the user to check; empty when all was said. */
  guessed: string;
}

/** First and second text of a pair, the commonest names first. Where the second is absent, the first stands alone. */
const TEXTS: readonly (readonly [first: string, second?: string])[] = [
  ["sentence1", "sentence2"],
  ["question1", "question2"],
  ["premise", "hypothesis"],
  ["question", "passage"],
  ["question", "sentence"],
  ["text_a", "text_b"],
  ["text1", "text2"],
  ["text", "text_pair"],
  ["text"],
  ["sentence"],
  ["content"],
  ["review"],
  ["comment"],
  ["message"],
  ["body"],
  ["question"],
  ["title"],
];
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
  const { text, textPair, label = [] } = flags;
  const has = `${source} has the columns ${columns.map((name) => JSON.stringify(name)).join(", ")}`;
  for (const [flag, name] of [
    ["text", text],
    ["text-pair", textPair],
    ...label.map((name) => ["label", name]),
  ]) {
    if (name !== undefined && !columns.includes(name))
      throw new UsageError(`--${flag} ${name} is not a column; ${has}`);
  }
  const find = (name: string) => columns.find((column) => column.toLowerCase() === name);
  const rest = (taken: readonly string[]) => columns.filter((column) => !taken.includes(column));
  const said = [text, textPair, ...label].filter((name) => name !== undefined);
  if (textPair !== undefined && text === undefined)
    throw new UsageError("--text-pair is the second text; name the first one, too, with --text");

  let texts = text === undefined ? undefined : [text, ...(textPair === undefined ? [] : [textPair])];
  texts ??= TEXTS.map((names) => names.map((name) => name && find(name))).find((found) =>
    found.every((column) => column !== undefined && !label.includes(column)),
  ) as string[] | undefined;
  let labels = label.length > 0 ? [...label] : undefined;
  labels ??= LABELS.map(find)
    .filter((column) => column !== undefined && !texts?.includes(column))
    .slice(0, 1) as string[];
  if (labels.length === 0 && texts) labels = columns.length === texts.length + 1 ? rest(texts) : [];
  if (texts === undefined && labels.length > 0 && columns.length === labels.length + 1) texts = rest(labels);
  if (texts === undefined) throw new UsageError(`which column is the text? Say --text; ${has}`);
  if (labels.length === 0) throw new UsageError(`which column is the label? Say --label; ${has}`);
  const twice = labels.find((name, i) => texts.includes(name) || labels.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`column ${JSON.stringify(twice)} is named twice`);
  const found = [
    ["text", texts[0]!],
    ["second text", texts[1]],
    ["label", labels[0]],
  ].filter(([, name]) => name !== undefined && !said.includes(name));
  return {
    texts,
    labels,
    guessed: found.map(([what, name]) => `${what} from column ${JSON.stringify(name)}`).join(", "),
  };
}
