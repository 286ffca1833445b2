/** What pretraining predicts: tokens that are masked, or the token that comes next. */
import { UFFB_HEAD_MLM } from "../../../ffi/bindings.ts";
import type { Batch } from "../../../ffi/context.ts";
import type { StepOptions, Targets } from "../../../ffi/train.ts";
import { Random } from "../../base/random.ts";
import { ragged } from "../../text/batches.ts";
import type { Objective } from "../records.ts";

/** Of the masked tokens: the share that becomes the mask token, and the share that becomes a token at random. The rest stays. */
const REPLACED = 0.8;
const RANDOM = 0.1;

export interface MaskOptions {
  /** The mask token's id. */
  mask: number;
  /** Tokens to draw random ones from: 0 to vocab - 1. */
  vocab: number;
  /** Share of a sequence's tokens that is predicted. */
  share: number;
  seed: number;
}

/** How many tokens of a sequence are predicted, and what becomes of them. Of 128 at a quarter: 32, of which 26, 3 and 3. */
export function maskCounts(length: number, share: number) {
  const predicted = Math.max(1, Math.floor(length * share));
  const replaced = Math.round(REPLACED * predicted);
  const random = Math.min(Math.round(RANDOM * predicted), predicted - replaced);
  return { predicted, replaced, random, kept: predicted - replaced - random };
}

/** Sequences for the engine, with what it is to predict of them. */
export interface Examples {
  batch: Batch;
  targets: Targets & { positions: BigInt64Array; targets: Int32Array };
  options: Pick<StepOptions, "head" | "causal">;
}

type Ids = Uint16Array | Uint32Array;

/**
 * Masks exactly as many tokens of each sequence as maskCounts says, at places that seed and the sequence's number decide: a run that is
 * resumed masks what it would have masked, and another pass over the text masks others.
 * @param first number of the first sequence
 */
export function masked(sequences: readonly Ids[], first: number, options: MaskOptions): Examples {
  const { mask, vocab, share, seed } = options;
  const batch = ragged(sequences.map((ids) => ({ ids })));
  const { ids } = batch;
  const positions: number[] = [];
  const targets: number[] = [];
  let start = 0;
  for (const [i, { length }] of sequences.entries()) {
    const draw = new Random(seed, "mask", first + i);
    const { predicted, replaced, random } = maskCounts(length, share);
    for (const [k, place] of sample(length, predicted, draw).entries()) {
      const at = start + place;
      positions.push(at);
      targets.push(ids[at]!);
      if (k < replaced) ids[at] = mask;
      else if (k < replaced + random) ids[at] = draw.below(vocab);
    }
    start += length;
  }
  return {
    batch,
    targets: { positions: BigInt64Array.from(positions, BigInt), targets: Int32Array.from(targets) },
    options: { head: UFFB_HEAD_MLM },
  };
}

/** Each token but the first is predicted from those before it. */
export function causal(sequences: readonly Ids[]): Examples {
  const batch = ragged(sequences.map((ids) => ({ ids })));
  const positions: number[] = [];
  const targets: number[] = [];
  let start = 0;
  for (const { length } of sequences) {
    for (let at = start; at + 1 < start + length; at++) {
      positions.push(at);
      targets.push(batch.ids[at + 1]!);
    }
    start += length;
  }
  return {
    batch,
    targets: { positions: BigInt64Array.from(positions, BigInt), targets: Int32Array.from(targets) },
    options: { head: UFFB_HEAD_MLM, causal: true },
  };
}

export function examplesOf(
  objective: Objective,
  sequences: readonly Ids[],
  first: number,
  options: MaskOptions,
): Examples {
  return objective === "masked" ? masked(sequences, first, options) : causal(sequences);
}

/** Predictions of a sequence. */
export function predictions(objective: Objective, length: number, share: number): number {
  return objective === "masked" ? maskCounts(length, share).predicted : length - 1;
}

/** `count` different numbers below `limit`, in random order: the start of a shuffle by Fisher and Yates. */
function sample(limit: number, count: number, draw: Random): Uint32Array {
  const all = Uint32Array.from({ length: limit }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const other = i + draw.below(limit - i);
    const value = all[i]!;
    all[i] = all[other]!;
    all[other] = value;
  }
  return all.subarray(0, count);
}
