import type { NativeContext } from "../../ffi/context.ts";
import { UffbError } from "../base/errors.ts";
import { largest } from "../base/numbers.ts";
import type { Model } from "../model/model.ts";
import { sigmoid } from "../model/sentence/activations.ts";
import type { Item } from "../text/input/input.ts";
import { type Aggregation, type Entity, entitiesOf } from "./entities.ts";
import { fill } from "./fill.ts";
import type { Prepared } from "./prepare.ts";
import type { VectorMaker } from "./vectors.ts";

interface Common {
  item: Item;
  /** Tokens the model read. */
  tokens: number;
  /** Tokens cut off before it. */
  dropped: number;
}

/** A candidate for a mask; `token` is absent without a tokenizer. */
export interface Candidate {
  id: number;
  token?: string;
  probability: number;
}

export interface FillMask extends Common {
  task: "fill-mask";
  /** For each mask in reading order, its token row and the most probable tokens, best first. */
  masks: { position: number; top: Candidate[] }[];
  /** The text with each mask's best candidate in place; absent for token ids. */
  filled?: string;
  filledPair?: string;
}

export interface Classification extends Common {
  task: "classify";
  /** The most probable label. */
  label: string;
  /** Those of at least the threshold, of a classifier of which several labels can be true; absent else. */
  labels?: string[];
  probability: number;
  /** For each label in the model's order. */
  scores: { label: string; probability: number; logit: number }[];
}

export interface Regression extends Common {
  task: "regress";
  /** What the model's own code makes of its output: the output itself, its sigmoid, ... */
  score: number;
  /** The output. */
  logit: number;
}

export interface Tagging extends Common {
  task: "tag";
  /** Those that are not "O", in the order of the text. */
  entities: Entity[];
}

export interface Embedding extends Common {
  task: "embed";
  /** [width], as `vectors` of the options makes it */
  vector: Float32Array;
}

export type Result = FillMask | Classification | Regression | Tagging | Embedding;
export type Task = Result["task"];

export interface HeadOptions {
  /** Candidates for each mask, at least 1. */
  topK: number;
  /** Least probability of a label that is given, where several can be true. */
  threshold: number;
  aggregate: Aggregation;
  /** Of "embed" alone: other tasks do not ask how a model makes vectors. */
  vectors: VectorMaker | undefined;
}

/** What each task asks of the batch that the context has just encoded: one result for each of its sequences, in order. */
export const HEADS: Record<
  Task,
  (model: Model, context: NativeContext, batch: Prepared[], options: HeadOptions) => Promise<Result[]>
> = {
  "fill-mask": fillMasks,
  classify,
  regress,
  tag,
  embed,
};

/** Most candidates of the masks of one text. */
const MAX_CANDIDATES = 2_000_000;

async function fillMasks(
  model: Model,
  context: NativeContext,
  batch: Prepared[],
  options: HeadOptions,
): Promise<FillMask[]> {
  const k = Math.min(options.topK, model.config.arch.vocab);
  const rows: number[] = [];
  let start = 0;
  for (const { ids, masks } of batch) {
    for (const mask of masks) rows.push(start + mask);
    start += ids.length;
  }
  if (rows.length * k > MAX_CANDIDATES) {
    throw new UffbError(
      `${rows.length} masks with ${k} candidates each are more than ${MAX_CANDIDATES}; give a smaller --top-k`,
    );
  }
  const { ids, probabilities } = await context.mlmTopK(rows, k);
  let row = 0;
  return batch.map((prepared) => {
    const tokenizer = prepared.item.ids ? model.optionalTokenizer() : model.tokenizer();
    const masks = prepared.masks.map((position) => {
      const top = Array.from({ length: k }, (_, i): Candidate => {
        const id = ids[row * k + i]!;
        const probability = probabilities[row * k + i]!;
        return tokenizer ? { id, token: tokenizer.text(id), probability } : { id, probability };
      });
      row++;
      return { position, top };
    });
    const best = masks.map((mask) => mask.top[0]!.id);
    const texts =
      tokenizer && !prepared.item.ids
        ? fill(prepared.item, prepared.ids, prepared.masks, best, tokenizer)
        : {};
    return { task: "fill-mask", ...common(prepared), masks, ...texts };
  });
}

/** Softmax over labels, or where several can be true each one's logistic function; the logits stay available for whoever compares or averages them. */
async function classify(
  model: Model,
  context: NativeContext,
  batch: Prepared[],
  { threshold }: HeadOptions,
): Promise<Classification[]> {
  const { labels, task } = model.config;
  const several = task === "multi-label";
  const all = await context.classify();
  return batch.map((prepared, s) => {
    const logits = Array.from(all.subarray(s * labels.length, (s + 1) * labels.length));
    const probabilities = several ? logits.map(sigmoid) : softmax(logits);
    const scores = labels.map((label, i) => ({ label, probability: probabilities[i]!, logit: logits[i]! }));
    const best = scores.reduce((a, b) => (b.logit > a.logit ? b : a));
    return {
      task: "classify",
      ...common(prepared),
      label: best.label,
      probability: best.probability,
      ...(several && {
        labels: scores.filter(({ probability }) => probability >= threshold).map(({ label }) => label),
      }),
      scores,
    };
  });
}

function softmax(row: ArrayLike<number>): number[] {
  const logits = Array.from(row);
  const most = largest(logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

async function regress(model: Model, context: NativeContext, batch: Prepared[]): Promise<Regression[]> {
  const { apply } = model.scoring();
  const logits = await context.classify();
  return batch.map((prepared, s) => {
    const logit = logits[s]!;
    return { task: "regress", ...common(prepared), score: apply(logit), logit };
  });
}

async function tag(
  model: Model,
  context: NativeContext,
  batch: Prepared[],
  { aggregate }: HeadOptions,
): Promise<Tagging[]> {
  const { labels } = model.config;
  const logits = await context.classifyTokens();
  const width = labels.length;
  let start = 0;
  return batch.map((prepared) => {
    const end = start + prepared.ids.length;
    const rows = Array.from(prepared.ids, (_, i) =>
      softmax(logits.subarray((start + i) * width, (start + i + 1) * width)),
    );
    start = end;
    const tokenizer = prepared.item.ids ? model.optionalTokenizer() : model.tokenizer();
    const entities = entitiesOf(prepared, rows, { labels, tokenizer, aggregate });
    return { task: "tag", ...common(prepared), entities };
  });
}

async function embed(
  _model: Model,
  context: NativeContext,
  batch: Prepared[],
  { vectors }: HeadOptions,
): Promise<Embedding[]> {
  const { width, read } = vectors!;
  const bySkip = new Map<number, Float32Array>();
  for (const { skip } of batch) if (!bySkip.has(skip)) bySkip.set(skip, await read(context, skip));
  return batch.map((prepared, s) => ({
    task: "embed",
    ...common(prepared),
    vector: bySkip.get(prepared.skip)!.subarray(s * width, (s + 1) * width),
  }));
}

function common(prepared: Prepared): Common {
  return { item: prepared.item, tokens: prepared.ids.length, dropped: prepared.dropped };
}
