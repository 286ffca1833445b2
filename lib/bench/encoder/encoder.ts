import { UFFB_FFN_FFF, UFFB_FFN_GLU, UFFB_FFN_GLU_FIRST } from "../../../ffi/bindings.ts";
import type { Batch } from "../../../ffi/context.ts";
import type { NativeModel } from "../../../ffi/model.ts";
import { median } from "../../base/statistics.ts";
import type { DeviceFacts, Roofline, RunFacts } from "../measure/machine.ts";
import { shapeName } from "../measure/presets.ts";
import { type BenchRecord, toRecord } from "../measure/record.ts";
import { takeTurns } from "../measure/turns.ts";
import { deviceTimer } from "./device.ts";
import type { Runner } from "./runners.ts";
import { cpuTimer, type Timer } from "./timer.ts";

export interface EncoderCase {
  runners: readonly Runner[];
  batch: number;
  length: number;
  /** CPU threads; ignored on a device. */
  threads: number;
  /** Seconds to spend on the case, about. */
  seconds: number;
}

/**
 * Seconds of a turn. Shorter calls are repeated to fill it, and the first of them is not counted: it finds the caches filled by another
 * runner.
 */
const TURN = 0.05;
const MIN_ROUNDS = 5;
const MAX_ROUNDS = 200;
/** Tokens of the sequence on which a device is compared with the CPU. */
const CHECKED = 32;

/** One runner at one length. */
interface Entry {
  runner: Runner;
  timer: Timer;
  batch: Batch;
  padded: boolean;
  samples: number[];
}

/**
 * Times the encoder, embedding to final states, the runners in turn: A B A B, or A A A B B B A A A where they are quick. Where sequences
 * are shorter than the model's maximum, each also runs padded to it; padding is not counted as tokens. With `DeviceFacts` it runs on that
 * device.
 */
export async function measureEncoder(
  one: EncoderCase,
  facts: RunFacts | DeviceFacts,
  progress: (done: number) => void,
): Promise<BenchRecord[]> {
  const entries: Entry[] = [];
  try {
    for (const runner of one.runners) {
      const { maxLength } = runner.model.arch;
      const sample = randomBatch(runner.model, 1, Math.min(one.length, CHECKED));
      for (const padded of one.length < maxLength ? [false, true] : [false]) {
        entries.push({
          runner,
          timer:
            "device" in facts
              ? await deviceTimer(runner, facts.device, sample)
              : cpuTimer(runner, one.threads),
          batch: randomBatch(runner.model, one.batch, padded ? maxLength : one.length),
          padded,
          samples: [],
        });
      }
    }
    await takeTurns(
      entries,
      turn,
      { seconds: one.seconds, least: 1 + MIN_ROUNDS, most: MAX_ROUNDS },
      progress,
    );
    const roofline = "roofline" in facts ? facts.roofline(one.threads) : undefined;
    return entries.map((entry) => recordOf(entry, entries, one, facts, roofline));
  } finally {
    for (const { timer } of entries) timer[Symbol.dispose]();
  }
}

/** One turn: a call, or as many as fill it. The first round of all warms up and is not counted. */
async function turn({ timer, batch, samples }: Entry, round: number): Promise<void> {
  let seconds = await timer.time(batch);
  if (round > 0 && seconds >= TURN) samples.push(seconds);
  for (let spent = seconds; spent < TURN; spent += seconds) {
    seconds = await timer.time(batch);
    if (round > 0) samples.push(seconds);
  }
}

function randomBatch({ arch }: NativeModel, sequences: number, length: number): Batch {
  const offsets = BigInt64Array.from({ length: sequences + 1 }, (_, s) => BigInt(s * length));
  const ids = Int32Array.from({ length: sequences * length }, (_, t) => (t * 7919 + 101) % arch.vocab);
  return { offsets, ids };
}

/** Multiply-adds of one token, 2 flop each: projections, attention over `length` tokens, feedforward. */
export function flopsPerToken({ arch }: NativeModel, length: number): number {
  const { hidden, layers, feedforward, width, trees, depth } = arch;
  const projections = 8 * hidden * hidden;
  const attention = 4 * length * hidden;
  const gated = feedforward === UFFB_FFN_GLU || feedforward === UFFB_FFN_GLU_FIRST;
  const inner = gated ? 1.5 * width : 2 * width;
  const nodes = feedforward === UFFB_FFN_FFF ? 2 * trees * (depth + 1) : 0;
  return layers * (projections + attention + 2 * (inner + nodes) * hidden);
}

function recordOf(
  entry: Entry,
  entries: readonly Entry[],
  one: EncoderCase,
  facts: RunFacts | DeviceFacts,
  roofline: Roofline | undefined,
): BenchRecord {
  const { runner, timer, samples, padded } = entry;
  const { arch } = runner.model;
  const middle = median(samples);
  const dense = entries.find(
    (other) => other.runner.dense && other.padded === padded && other.runner.dtype === runner.dtype,
  );
  const against = dense && dense !== entry ? median(dense.samples) / middle : null;
  const length = padded ? arch.maxLength : one.length;
  const flops = (flopsPerToken(runner.model, length) * one.batch * length) / middle;
  return toRecord(samples, one.batch * one.length, facts, {
    kind: "model",
    case_shape: shapeName(entries[0]!.runner.model.arch),
    shape: shapeName(arch),
    hidden: arch.hidden,
    trees: arch.trees,
    depth: arch.depth,
    width: arch.width,
    layers: arch.layers,
    batch: one.batch,
    length: one.length,
    padded,
    contender: `${runner.name} ${runner.dtype}`,
    level: 0,
    isa: timer.isa,
    threads: timer.threads,
    device: "device" in facts ? facts.device.name : null,
    dtype: runner.dtype,
    cache: "warm",
    paths: runner.trained ? "real" : "uniform",
    speedup_fastest_dense: against,
    speedup_limit:
      dense && dense !== entry
        ? flopsPerToken(dense.runner.model, length) / flopsPerToken(runner.model, length)
        : null,
    flops,
    peak_flops: roofline?.flops ?? null,
    peak_memory_bytes_per_s: roofline?.memory ?? null,
    peak_l2_bytes_per_s: roofline?.l2 ?? null,
    share_of_bound: roofline && runner.dtype === "f32" ? flops / roofline.flops : null,
    error: timer.error,
  });
}
