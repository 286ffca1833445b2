import { NativeContext } from "../../../ffi/context.ts";
import type { Model } from "../../model/model.ts";
import { Cancellation } from "../../run/cancel.ts";
import { BATCH_TOKENS, group } from "../../text/batches.ts";
import { compareBatch } from "./batch.ts";
import { Paths, type Report, Values } from "./compare.ts";
import { openExpected } from "./expected.ts";

export type { Report } from "./compare.ts";

export interface VerifyOptions {
  /** Largest difference allowed, relative to each tensor's largest magnitude. */
  tolerance?: number;
  threads?: number;
  isa?: string;
  /** Most tokens in a batch. It changes no result. */
  batchTokens?: number;
  /** Stops the running batch, and then throws CancelledError. */
  signal?: AbortSignal;
  /** Sequences compared, and of how many. */
  onProgress?(done: number, total: number): void;
}

export interface Verification {
  /** Every compared tensor is within the tolerance, every path is the same or differs at a near-tie, and something was compared. */
  passed: boolean;
  tensors: Report[];
  /** Tensors of the file that are not a stage of a forward pass. */
  ignored: string[];
  sequences: number;
  tokens: number;
  tolerance: number;
  isa: string;
  threads: number;
}

export const TOLERANCE = 1e-5;

/**
 * Runs the inputs of a reference file through a model and compares every stage the file holds.
 * @throws UffbError when the file is not sound, or belongs to another model
 */
export async function verify(model: Model, path: string, options: VerifyOptions = {}): Promise<Verification> {
  const { tolerance = TOLERANCE, batchTokens = BATCH_TOKENS, signal } = options;
  const expected = openExpected(path, model);
  using context = new NativeContext(model.native, { threads: options.threads ?? 0, isa: options.isa });
  using cancellation = new Cancellation(context, signal);
  const values = new Map<string, Values>();
  const paths = new Map<string, Paths>();
  for (const [name, stage] of expected.stages) {
    if (name.startsWith("path.")) paths.set(name, new Paths(stage, model.config.arch.depth + 1));
    else values.set(name, new Values(stage, tolerance));
  }
  let count = 0;
  let tokens = 0;
  for (const sequences of group(expected.sequences, {
    weight: ({ ids }) => ids.length,
    budget: batchTokens,
  })) {
    await compareBatch(model, context, sequences, { values, paths });
    cancellation.check();
    count += sequences.length;
    options.onProgress?.(count, expected.count);
    tokens += sequences.reduce((sum, { ids }) => sum + ids.length, 0);
  }
  const tensors = [...expected.stages.keys()]
    .sort((a, b) => order(a) - order(b))
    .map((name) => (paths.get(name) ?? values.get(name)!).report());
  return {
    passed: tensors.every((report) => report.passed) && tensors.some((report) => report.compared > 0),
    tensors,
    ignored: expected.ignored,
    sequences: count,
    tokens,
    tolerance,
    isa: context.isa,
    threads: context.threads,
  };
}

/** Where a stage stands in the forward pass. */
function order(name: string): number {
  const [kind, layer] = name.split(".");
  const whole = ["embedding", "path", "layer", "final", "logits", "sentence"].indexOf(kind!);
  return layer === undefined ? (whole === 0 ? 0 : 1e9 + whole) : 2 * Number(layer) + whole;
}
