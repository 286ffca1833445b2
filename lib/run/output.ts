/**
 * What `uffb infer` prints, one exporter a format.
 *
 * `jsonl` is one object a line for each input, `json` an array of the same objects:
 *
 *     line         number       the input's line, or which argument it was, from 1
 *     id           string|number  the input's own id, where it had one
 *     text, text_pair  string   the input, unless it was token ids
 *     tokens       number       tokens the model read
 *     truncated    number       tokens cut off because the model takes no more; absent when there are none
 *
 *     masks        array        fill-mask: for each mask, in reading order, { position, top }: the mask's token row, and the candidates,
 *                               best first, { token, id, p }: token (absent without a tokenizer), its id and its probability
 *     filled, filled_pair  string  fill-mask: the text with the best candidates in place of its masks
 *     label, p     string, number  classify: the most probable label and its probability
 *     labels       array        classify, where several labels can be true: those with a probability of a half (or the threshold) or more
 *     scores       array        classify: { label, p, logit } for each label, in the model's order
 *     score, logit  number      regress: what the model's own code makes of its output (a sigmoid, say), and, where that is another
 *                               number, the output
 *     entities     array        tag: { label, p, start, end, word } for each entity, in the text's order: from which code point of the text
 *                               to behind which, and what stands there; with no aggregation also the token's row, index
 *     vector       array        embed: the sentence vector, as many numbers as its last module gives
 *
 * Probabilities have six significant digits; logits, scores and vectors nine, which identify an f32.
 *
 * `tsv` is for pipelines; the first column is the input's id, or else its line:
 *
 *     fill-mask    id, mask (from 1), rank (from 1), token (its id without a tokenizer), probability, and the text filled with the
 *                  best candidates, in one column or, for a pair, two
 *     classify     id, most probable label (where several can be true: all of a half (or the threshold) or more, ";" between them), the largest
 *                  probability, then the probability of each label in the model's order
 *     regress      id, score
 *     tag          id, start, end, label, probability, word, a row for each entity; empty cells where a text has none
 *     embed        id, then a column for each number of the vector
 *
 * Tabs, line breaks and other control characters within a text become spaces there.
 *
 * `csv` has the same columns under a header, and texts as they are.
 *
 * Every input comes out in every format, so that rows can be counted and put beside each other: one that could not be used has a row with
 * empty cells behind its id, in JSON an object with `error` in place of the results. Columns of the input that pass through stand behind the
 * results; one whose name is a result's, too, is called `input_NAME`.
 */
import { largest, percent } from "../base/numbers.ts";
import { printable } from "../base/printable.ts";
import type { BadItem, Input } from "../text/input/input.ts";
import type { Result, Task } from "./heads.ts";
import { CSV, type Delimited, Kept, row, TSV } from "./rows.ts";

export const FORMATS = ["human", "tsv", "csv", "json", "jsonl"] as const;
export type Format = (typeof FORMATS)[number];

/** The pieces of a document: `head`, then `record` of each result, then `tail`. */
export interface Exporter {
  head: string;
  record(result: Result | BadItem): string;
  tail: string;
}

export interface ExporterOptions {
  /** For the human format. */
  colour?: boolean;
  /** Of the results, behind the id: see columnsOf. */
  columns?: readonly string[];
  /** Whether tsv names its columns; csv always does. */
  header?: boolean;
  /** The columns that inputs keep. */
  kept?: Input["kept"] | undefined;
}

/** Names of the columns of tsv and csv behind the id; `width` is that of vectors, and `pairs` where a second text has a column of its own. */
export function columnsOf(
  task: Task,
  { labels, width }: { labels: readonly string[]; width: number },
  pairs: boolean,
): string[] {
  switch (task) {
    case "fill-mask":
      return ["mask", "rank", "token", "p", "filled", ...(pairs ? ["filled_pair"] : [])];
    case "classify":
      return ["label", "p", ...labels.map((label) => `p_${label}`)];
    case "regress":
      return ["score"];
    case "tag":
      return ["start", "end", "label", "p", "word"];
    case "embed":
      return Array.from({ length: width }, (_, i) => String(i));
  }
}

/** What objects hold besides what inputs keep. */
const FIELDS = [
  ...["line", "id", "text", "text_pair", "tokens", "truncated", "error"],
  ...[
    "masks",
    "filled",
    "filled_pair",
    "label",
    "p",
    "labels",
    "scores",
    "score",
    "logit",
    "entities",
    "vector",
  ],
];

/** A new exporter. */
export function exporter(format: Format, options: ExporterOptions = {}): Exporter {
  switch (format) {
    case "human":
      return {
        head: "",
        record: (result) => ("error" in result ? "" : human(result, options.colour ?? false)),
        tail: "",
      };
    case "tsv":
      return delimited(TSV, options);
    case "csv":
      return delimited(CSV, { ...options, header: true });
    case "jsonl": {
      const kept = new Kept(options.kept, FIELDS);
      return { head: "", record: (result) => `${JSON.stringify(toObject(result, kept))}\n`, tail: "" };
    }
    case "json": {
      const kept = new Kept(options.kept, FIELDS);
      let separator = "\n";
      const record = (result: Result | BadItem): string => {
        const text = separator + JSON.stringify(toObject(result, kept));
        separator = ",\n";
        return text;
      };
      return { head: "[", record, tail: "\n]\n" };
    }
  }
}

function delimited(
  format: Delimited,
  { columns = [], header = false, kept: columnsKept }: ExporterOptions,
): Exporter {
  const kept = new Kept(columnsKept, ["id", ...columns]);
  return {
    head: header ? row(format, ["id", ...columns, ...kept.names]) : "",
    record(result) {
      const place = "error" in result ? result : result.item;
      const found = "error" in result ? [[]] : rows(result);
      const width = header || kept.names.length > 0 || "error" in result ? columns.length : 0;
      return found
        .map((cells) => {
          const padding = Array<string>(Math.max(0, width - cells.length)).fill("");
          return row(format, [place.id ?? place.line, ...cells, ...padding, ...kept.cells(place)]);
        })
        .join("");
    },
    tail: "",
  };
}

/** A result as the object documented above. */
export function toObject(result: Result | BadItem, kept?: Kept): Record<string, unknown> {
  if ("error" in result) {
    const { line, id, error } = result;
    return { line, ...(id !== undefined && { id }), error, ...kept?.fields(result) };
  }
  const { item } = result;
  return {
    line: item.line,
    ...(item.id !== undefined && { id: item.id }),
    ...(!item.ids && { text: item.text }),
    ...(!item.ids && item.pair !== undefined && { text_pair: item.pair }),
    tokens: result.tokens,
    ...(result.dropped > 0 && { truncated: result.dropped }),
    ...taskObject(result),
    ...kept?.fields(item),
  };
}

function taskObject(result: Result): Record<string, unknown> {
  switch (result.task) {
    case "fill-mask":
      return {
        masks: result.masks.map(({ position, top }) => ({
          position,
          top: top.map(({ token, id, probability }) => ({
            ...(token !== undefined && { token }),
            id,
            p: six(probability),
          })),
        })),
        ...(result.filled !== undefined && { filled: result.filled }),
        ...(result.filledPair !== undefined && { filled_pair: result.filledPair }),
      };
    case "classify":
      return {
        label: result.label,
        p: six(result.probability),
        ...(result.labels && { labels: result.labels }),
        scores: result.scores.map(({ label, probability, logit }) => ({
          label,
          p: six(probability),
          logit: nine(logit),
        })),
      };
    case "regress":
      return {
        score: nine(result.score),
        ...(result.logit !== result.score && { logit: nine(result.logit) }),
      };
    case "tag":
      return {
        entities: result.entities.map(({ probability, ...rest }) => ({ ...rest, p: six(probability) })),
      };
    case "embed":
      return { vector: Array.from(result.vector, nine) };
  }
}

/** The cells of a result behind the id, row by row. */
function rows(result: Result): (string | number)[][] {
  switch (result.task) {
    case "fill-mask": {
      const texts = [result.filled, result.filledPair].filter((text) => text !== undefined);
      return result.masks.flatMap(({ top }, mask) =>
        top.map((candidate, rank) => [
          mask + 1,
          rank + 1,
          candidate.token ?? candidate.id,
          six(candidate.probability),
          ...texts,
        ]),
      );
    }
    case "classify":
      return [
        [
          result.labels?.join(";") ?? result.label,
          six(result.probability),
          ...result.scores.map((score) => six(score.probability)),
        ],
      ];
    case "regress":
      return [[nine(result.score)]];
    case "tag": {
      const found = result.entities.map(({ start, end, label, probability, word }) => {
        return [start ?? "", end ?? "", label, six(probability), word];
      });
      return found.length > 0 ? found : [["", "", "", "", ""]];
    }
    case "embed":
      return [Array.from(result.vector, nine)];
  }
}

const BAR = 20;
/** Numbers of a vector that a person wants to see. */
const SHOWN = 6;

function human(result: Result, colour: boolean): string {
  const bold = (text: string) => (colour ? `\x1b[1m${text}\x1b[22m` : text);
  const { item } = result;
  const input = item.ids
    ? `line ${item.line}`
    : printable(item.pair ? `${item.text} / ${item.pair}` : item.text);
  switch (result.task) {
    case "fill-mask": {
      const filled = [result.filled, result.filledPair]
        .filter((text) => text)
        .map((text) => printable(text!));
      const title = bold(filled.length > 0 ? filled.join(" / ") : input);
      const several = result.masks.length > 1;
      return lines([
        title,
        ...result.masks.flatMap(({ top }, mask) => [
          ...(several ? [`  mask ${mask + 1}`] : []),
          ...bars(
            top.map((candidate) => [
              printable(String(candidate.token ?? candidate.id)),
              candidate.probability,
            ]),
          ),
        ]),
      ]);
    }
    case "classify": {
      const sorted = result.scores.toSorted((a, b) => b.logit - a.logit);
      return lines([
        bold(input),
        ...bars(sorted.map(({ label, probability }) => [printable(label), probability])),
      ]);
    }
    case "regress":
      return lines([bold(input), `  ${result.score.toFixed(3)}`]);
    case "tag":
      return lines([
        bold(input),
        ...aligned(
          result.entities.map(({ label, probability, word }) => [
            printable(label),
            percent(probability, 1),
            printable(word),
          ]),
        ),
      ]);
    case "embed": {
      const shown = Array.from(result.vector.subarray(0, SHOWN), (value) => value.toFixed(4)).join(" ");
      const rest =
        result.vector.length > SHOWN ? ` … ${result.vector.length} numbers; --jsonl shows all` : "";
      return lines([bold(input), `  ${shown}${rest}`]);
    }
  }
}

/** Rows of a label, a share and a text, in columns. */
function aligned(rows: readonly (readonly [string, string, string])[]): string[] {
  const width = largest(rows.map(([label]) => label.length));
  return rows.map(([label, share, text]) => `  ${label.padEnd(width)} ${share.padStart(6)} ${text}`);
}

function bars(shares: [name: string, share: number][]): string[] {
  const width = largest(shares.map(([name]) => name.length));
  return shares.map(([name, share]) => {
    return `  ${name.padEnd(width)} ${percent(share, 1).padStart(6)} ${"█".repeat(Math.round(BAR * share))}`.trimEnd();
  });
}

function lines(rows: string[]): string {
  return rows.map((row) => `${row}\n`).join("");
}

const six = (value: number): number => Number(value.toPrecision(6));
const nine = (value: number): number => Number(value.toPrecision(9));
