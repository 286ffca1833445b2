/** Texts to distil on: with a classifier's labels, or alone. */
import { basename } from "node:path";
import { UffbError, UsageError } from "../base/errors.ts";
import { quoted } from "../base/printable.ts";
import { Random } from "../base/random.ts";
import { hashCorpus, readDocuments } from "../data/corpus.ts";
import { type OwnData, type OwnExample, type OwnOptions, readExamples } from "../data/own/examples.ts";
import type { Kind } from "../data/own/labels.ts";
import type { MetricName } from "../data/tasks.ts";
import type { Config } from "../model/config.ts";
import type { CardData } from "../train/card.ts";
import type { Texts } from "../train/encode.ts";
import { type Judge, metricsOf } from "../train/validate.ts";
import type { Compared } from "./recipe.ts";

/** What a student is trained and scored on. */
export interface DistilData {
  compared: Compared;
  /** Targets are numbers of the teacher's classes, its scores or lists; of texts alone there are none. */
  train: Texts;
  valid?: Texts | undefined;
  metrics: readonly MetricName[];
  judge: Judge;
  files: CardData[];
  /** Texts held out of them. */
  held: number;
  notes: readonly string[];
  warnings: readonly string[];
}

/** Most texts held out to compare vectors on. */
const MOST_HELD_OUT = 2000;

export interface TextsOptions {
  /** Column of the text in files with columns. */
  field?: string | undefined;
  skipBad?: boolean | undefined;
  /** Share held out, at most MOST_HELD_OUT texts. */
  split: number;
  seed: number;
}

/** Reads texts, a line or a row each; of equal ones the first. @throws UffbError when there are too few, or a file cannot be read */
export async function readTexts(paths: readonly string[], options: TextsOptions): Promise<DistilData> {
  const texts: string[] = [];
  const places: { path: string; line: number }[] = [];
  const seen = new Set<string>();
  const files: CardData[] = [];
  for (const path of paths) {
    let rows = 0;
    for await (const document of readDocuments(path, options)) {
      if ("error" in document) continue;
      rows++;
      if (document.text.trim() === "" || seen.has(document.text)) continue;
      seen.add(document.text);
      texts.push(document.text);
      places.push({ path, line: document.line });
    }
    files.push({ name: basename(path), rows, sha256: await hashCorpus(path) });
  }
  const held = Math.min(Math.round(options.split * texts.length), MOST_HELD_OUT);
  if (texts.length - held < 2)
    throw new UffbError(`${paths.join(", ")}: ${texts.length} texts are too few to distil on; add more`);
  const order = new Random(options.seed, "split").permutation(texts.length);
  const chosen = new Set(order.subarray(0, held));
  const part = (which: boolean): Texts => {
    const members = [...texts.keys()].filter((i) => chosen.has(i) === which);
    return {
      texts: members.map((i) => [texts[i]!]),
      targets: [],
      place: (i) => `${places[members[i]!]!.path}:${places[members[i]!]!.line}`,
    };
  };
  const common = { metrics: [], judge: "loss", files, held, notes: [], warnings: [] } as const;
  return { compared: "vectors", train: part(false), ...(held > 0 && { valid: part(true) }), ...common };
}

/**
 * Reads labelled texts for a teacher that classifies. @throws UffbError for labels that it does not know; what readExamples throws
 */
export async function readLabelled(
  path: string,
  teacher: { config: Pick<Config, "labels" | "task">; source: string },
  options: Omit<OwnOptions, "kind">,
  judge?: Judge,
): Promise<DistilData> {
  const compared = teacher.config.task as Kind;
  const data = await readExamples(path, { ...options, kind: compared });
  const numbers = data.labels.names.map((name) => teacher.config.labels.indexOf(name));
  const unknown = data.labels.names.find((_, i) => numbers[i] === -1);
  if (compared !== "regression" && unknown !== undefined) {
    const has = teacher.config.labels.map(quoted).join(", ");
    throw new UffbError(`${path}: has the label ${quoted(unknown)}, and ${teacher.source} knows ${has}`);
  }
  const metrics = metricsOf(compared, teacher.config.labels.length);
  if (judge !== undefined && judge !== "loss" && !metrics.includes(judge))
    throw new UsageError(`--metric ${judge} is not for this teacher; choose loss, ${metrics.join(", ")}`);
  const { train, valid, origins, notes, warnings } = data;
  return {
    compared,
    train: asTexts(train, data, numbers, teacher.config.labels.length),
    ...(valid.length > 0 && { valid: asTexts(valid, data, numbers, teacher.config.labels.length) }),
    metrics,
    judge: judge ?? metrics[0]!,
    files: origins.map(({ path: file, rows, sha256 }) => ({ name: basename(file), rows, sha256 })),
    held: origins.length > 1 ? 0 : valid.length,
    notes,
    warnings,
  };
}

/** @param numbers the teacher's number of each of the data's labels */
function asTexts(
  examples: readonly OwnExample[],
  { labels: { kind } }: OwnData,
  numbers: readonly number[],
  classes: number,
): Texts {
  const target = (own: OwnExample["target"]) => {
    if (kind === "regression") return own;
    if (typeof own === "number") return numbers[own]!;
    const row = new Array<number>(classes).fill(0);
    for (const [i, on] of own.entries()) row[numbers[i]!] = on;
    return row;
  };
  return {
    texts: examples.map(({ texts }) => texts),
    targets: examples.map((example) => target(example.target)),
    place: (i) => `${examples[i]!.source}:${examples[i]!.line}`,
  };
}
