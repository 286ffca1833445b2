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
 *     labels       array        classify, where several labels can be true: those with a probability of a half or more
 *     scores       array        classify: { label, p, logit } for each label, in the model's order
 *     score        number       regress: the model's output
 *     vector       array        embed: the sentence vector, as many numbers as the model's hidden size
 *
 * Probabilities have six significant digits; logits, scores and vectors nine, which identify an f32.
 *
 * `tsv` is for pipelines; the first column is the input's id, or else its line:
 *
 *     fill-mask    id, mask (from 1), rank (from 1), token (its id without a tokenizer), probability, and the text filled with the
 *                  best candidates, in one column or, for a pair, two
 *     classify     id, most probable label (where several can be true: all of a half or more, ";" between them), the largest
 *                  probability, then the probability of each label in the model's order
 *     regress      id, score
 *     embed        id, then a column for each number of the vector
 *
 * Tabs, line breaks and other control characters within a text become spaces there.
 *
 * `csv` is for vectors alone: a header, then a row for each input, its id or else its line and the vector's numbers.
 */
import { largest, percent } from "../base/numbers.ts";
import { printable } from "../base/printable.ts";
import type { FillMask, Result } from "./heads.ts";

export const FORMATS = ["human", "tsv", "csv", "json", "jsonl"] as const;
export type Format = (typeof FORMATS)[number];

/** The pieces of a document: `head`, then `record` of each result, then `tail`. */
export interface Exporter {
  head: string;
  record(result: Result): string;
  tail: string;
}

/** A new exporter; `colour` is for the human format alone. */
export function exporter(format: Format, options: { colour?: boolean } = {}): Exporter {
  switch (format) {
    case "human":
      return { head: "", record: (result) => human(result, options.colour ?? false), tail: "" };
    case "tsv":
      return { head: "", record: (result) => lines(rows(result).map((row) => row.join("\t"))), tail: "" };
    case "csv": {
      let columns = true;
      const record = (result: Result): string => {
        const [id, ...numbers] = rows(result)[0]!;
        const row = [quote(String(id)), ...numbers].join();
        const header = columns ? [["id", ...numbers.keys()].join()] : [];
        columns = false;
        return lines([...header, row]);
      };
      return { head: "", record, tail: "" };
    }
    case "jsonl":
      return { head: "", record: (result) => `${JSON.stringify(toObject(result))}\n`, tail: "" };
    case "json": {
      let separator = "\n";
      const record = (result: Result): string => {
        const text = separator + JSON.stringify(toObject(result));
        separator = ",\n";
        return text;
      };
      return { head: "[", record, tail: "\n]\n" };
    }
  }
}

/** A result as the object documented above. */
export function toObject(result: Result): Record<string, unknown> {
  const { item } = result;
  return {
    line: item.line,
    ...(item.id !== undefined && { id: item.id }),
    ...(!item.ids && { text: item.text }),
    ...(!item.ids && item.pair !== undefined && { text_pair: item.pair }),
    tokens: result.tokens,
    ...(result.dropped > 0 && { truncated: result.dropped }),
    ...taskObject(result),
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
      return { score: nine(result.score) };
    case "embed":
      return { vector: Array.from(result.vector, nine) };
  }
}

function rows(result: Result): (string | number)[][] {
  const id = oneLine(String(result.item.id ?? result.item.line));
  switch (result.task) {
    case "fill-mask": {
      const texts = [result.filled, result.filledPair].filter((text) => text !== undefined).map(oneLine);
      return result.masks.flatMap(({ top }, mask) =>
        top.map((candidate, rank) => [
          id,
          mask + 1,
          rank + 1,
          name(candidate, oneLine),
          six(candidate.probability),
          ...texts,
        ]),
      );
    }
    case "classify":
      return [
        [
          id,
          oneLine(result.labels?.join(";") ?? result.label),
          six(result.probability),
          ...result.scores.map((score) => six(score.probability)),
        ],
      ];
    case "regress":
      return [[id, nine(result.score)]];
    case "embed":
      return [[id, ...Array.from(result.vector, nine)]];
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
          ...bars(top.map((candidate) => [name(candidate, printable), candidate.probability])),
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
    case "embed": {
      const shown = Array.from(result.vector.subarray(0, SHOWN), (value) => value.toFixed(4)).join(" ");
      const rest =
        result.vector.length > SHOWN ? ` … ${result.vector.length} numbers; --jsonl shows all` : "";
      return lines([bold(input), `  ${shown}${rest}`]);
    }
  }
}

function bars(shares: [name: string, share: number][]): string[] {
  const width = largest(shares.map(([name]) => name.length));
  return shares.map(([name, share]) => {
    return `  ${name.padEnd(width)} ${percent(share, 1).padStart(6)} ${"█".repeat(Math.round(BAR * share))}`.trimEnd();
  });
}

function name(candidate: FillMask["masks"][number]["top"][number], safe: (text: string) => string): string {
  return candidate.token === undefined ? String(candidate.id) : safe(candidate.token);
}

/** As RFC 4180 has it. */
function quote(cell: string): string {
  return /[",]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function lines(rows: string[]): string {
  return rows.map((row) => `${row}\n`).join("");
}

/** Keeps text from breaking a row. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}

const six = (value: number): number => Number(value.toPrecision(6));
const nine = (value: number): number => Number(value.toPrecision(9));
