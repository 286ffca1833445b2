import { statSync } from "node:fs";
import { UffbError } from "../base/errors.ts";
import { printable, quoted } from "../base/printable.ts";
import { decodeUtf8, readNamed } from "../base/read.ts";
import type { Model } from "../model/model.ts";
import type { Similarity } from "../model/sentence/prompts.ts";
import type { Item } from "../text/input/input.ts";
import { type InferOptions, infer } from "./infer.ts";
import { CSV, row, TSV } from "./rows.ts";
import { COMPARISONS } from "./similarity.ts";
import type { Sink } from "./sink.ts";

/** An input and how near it is to a query. */
export interface Match {
  item: Item;
  /** As the sink's similarity has it: the larger the nearer. */
  score: number;
}

export interface Query {
  text: string;
  /** [width], as the similarity compares it */
  vector: Float32Array;
  /** The nearest so far, best first; equal ones in the order of input. */
  closest: Match[];
}

/** Largest file of queries, in bytes. */
const MAX_FILE = 16 << 20;

/** Each query is compared with every input. */
const MAX_QUERIES = 10_000;

/**
 * The queries that a flag's value means: the lines of a file or pipe, if there is one of that name, or else the text itself.
 * @throws UffbError when there are none in it, or too many
 */
export async function readQueries(value: string): Promise<string[]> {
  if (!isQueryFile(value)) return [value];
  const text = decodeUtf8(await readNamed(value, MAX_FILE), value);
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new UffbError(`${value}: has no query, one a line`);
  if (lines.length > MAX_QUERIES)
    throw new UffbError(`${value}: has ${lines.length} queries; at most ${MAX_QUERIES} are compared`);
  return lines;
}

/** Whether there is a file, pipe or device of this name. A long text is none. */
export function isQueryFile(value: string): boolean {
  try {
    return statSync(value, { throwIfNoEntry: false })?.isDirectory() === false;
  } catch {
    return false;
  }
}

/**
 * Embeds the texts to be searched for; `options.prompt` is theirs.
 *
 * @throws UffbError for one that the model cannot take
 */
export async function embedQueries(
  model: Model,
  texts: readonly string[],
  options: InferOptions,
  similarity: Similarity = "cosine",
): Promise<Query[]> {
  const { prepare } = COMPARISONS[similarity];
  async function* items() {
    for (const [i, text] of texts.entries()) yield { line: i + 1, text };
  }
  const queries: Query[] = [];
  for await (const batch of infer(model, items(), { ...options, embed: true })) {
    for (const result of batch) {
      const text = texts[queries.length]!;
      if ("error" in result) throw new UffbError(`query ${quoted(text)}: ${result.error}`);
      if (result.task !== "embed") continue;
      const vector = prepare(result.vector.slice());
      if (!vector.every(Number.isFinite))
        throw new UffbError(`query ${quoted(text)}: the model gives numbers for it that are not finite`);
      queries.push({ text, vector, closest: [] });
    }
  }
  return queries;
}

export type MatchFormat = "text" | "tsv" | "csv" | "json" | "jsonl";

/** Keeps the `count` inputs nearest to each query, and prints them at the end. Memory does not grow with the number of inputs. */
export class SimilarSink implements Sink {
  constructor(
    readonly queries: readonly Query[],
    readonly count: number,
    readonly format: MatchFormat,
    readonly header = false,
    readonly similarity: Similarity = "cosine",
  ) {}

  add(result: Parameters<Sink["add"]>[0]): string {
    if (!("task" in result) || result.task !== "embed") return "";
    const { prepare, compare } = COMPARISONS[this.similarity];
    const vector = prepare(result.vector.slice());
    for (const query of this.queries) this.#offer(query.closest, result.item, compare(query.vector, vector));
    return "";
  }

  #offer(closest: Match[], item: Item, score: number): void {
    if (Number.isNaN(score)) return; // it is near to nothing
    if (closest.length === this.count && !(score > closest.at(-1)!.score)) return;
    let at = closest.length;
    while (at > 0 && score > closest[at - 1]!.score) at--;
    closest.splice(at, 0, { item, score });
    if (closest.length > this.count) closest.pop();
  }

  #names(): string[] {
    return ["query", "rank", this.similarity, "id", "text"];
  }

  #rows(): string[][] {
    return this.queries.flatMap(({ closest }, q) =>
      closest.map(({ item, score }, rank) =>
        [q + 1, rank + 1, score.toFixed(6), item.id ?? item.line, text(item)].map(String),
      ),
    );
  }

  finish(): string[] {
    const objects = () => this.queries.map((query) => toObject(query, this.similarity));
    switch (this.format) {
      case "json":
        return [`${JSON.stringify(objects())}\n`];
      case "jsonl":
        return objects().map((object) => `${JSON.stringify(object)}\n`);
      case "tsv":
        return [...(this.header ? [this.#names()] : []), ...this.#rows()].map((cells) => row(TSV, cells));
      case "csv":
        return [this.#names(), ...this.#rows()].map((cells) => row(CSV, cells));
      case "text":
        return this.queries.flatMap((query) => [
          ...(this.queries.length > 1 ? [`${printable(query.text)}\n`] : []),
          ...query.closest.map(
            ({ item, score }) => `${score.toFixed(4).padStart(7)}  ${printable(text(item))}\n`,
          ),
        ]);
    }
  }
}

/** What `--json` and `--jsonl` say of a query. */
function toObject({ text: query, closest }: Query, similarity: Similarity) {
  return {
    query,
    closest: closest.map(({ item: { line, id, text, pair, ids }, score }) => ({
      line,
      ...(id !== undefined && { id }),
      [similarity]: Number(score.toPrecision(6)),
      ...(!ids && { text }),
      ...(pair !== undefined && { text_pair: pair }),
    })),
  };
}

function text({ text, pair, ids, line }: Item): string {
  if (ids) return `line ${line}`;
  return pair === undefined ? text : `${text} / ${pair}`;
}
