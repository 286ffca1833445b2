import { cpuCount } from "../../../ffi/engine.ts";
import { UffbError } from "../../base/errors.ts";
import type { Dataset } from "../../data/load.ts";
import type { Model } from "../../model/model.ts";
import { MAX_LENGTH } from "./encode.ts";
import { type EvaluateOptions, type Evaluation, evaluate } from "./evaluate.ts";
import type { Prediction } from "./predictions.ts";

/** One way to run the same examples. */
export interface Rung {
  name: string;
  run: Evaluation["run"];
  /** The task's score. */
  score: number;
  /** Largest difference of a logit from the first rung's. */
  logitError: number;
}

export interface Ladder {
  /** From the slowest way to the fastest. */
  rungs: Rung[];
  examples: number;
  /** Tokens every input is padded to on the first rung. */
  fixedLength: number;
  warnings: string[];
}

export interface LadderOptions extends Pick<EvaluateOptions, "batchTokens" | "onProgress" | "force"> {
  /** The same model with weights in 8 bits, for the last rungs. */
  int8?: Model | undefined;
}

/**
 * Times one split in the steps by which FastFormers (arXiv 2010.13382) sped up inference on CPUs: every input padded to the maximum, then
 * inputs of their own length, then an engine a core instead of one on all cores, then 8-bit weights. Logits must be the same on every rung
 * without 8-bit weights; what 8 bits cost is in the table.
 */
export async function ladder(model: Model, dataset: Dataset, options: LadderOptions = {}): Promise<Ladder> {
  const { int8, ...running } = options;
  if (int8 && !int8.native.tensors().some(({ name, present }) => present && name.endsWith(".weight.scale"))) {
    throw new UffbError(`${int8.source}: has no 8-bit weights; make it with uffb convert --dtype int8`);
  }
  const cores = cpuCount();
  const fixedLength = Math.min(MAX_LENGTH, model.config.arch.maxLength);
  const ways: [name: string, model: Model, how: EvaluateOptions][] = [
    [`fixed length ${fixedLength}`, model, { fixedLength: true }],
    ["dynamic length", model, {}],
    [`dynamic length, ${cores} instances`, model, { instances: cores }],
  ];
  if (int8) {
    ways.push(["dynamic length, int8", int8, {}]);
    ways.push([`dynamic length, int8, ${cores} instances`, int8, { instances: cores }]);
  }
  // Reads all weights once, so that the first rung is not slower for it.
  const few = { ...dataset, examples: dataset.examples.slice(0, 8) };
  for (const one of int8 ? [model, int8] : [model]) await evaluate(one, few, { force: options.force });

  const rungs: Rung[] = [];
  const warnings = new Set<string>();
  let first: Prediction[] | undefined;
  for (const [name, own, how] of ways) {
    const {
      run,
      metrics,
      predictions,
      warnings: found,
    } = await evaluate(own, dataset, { ...running, ...how });
    for (const warning of found) warnings.add(warning);
    first ??= predictions;
    if (own === model && !sameLogits(predictions, first)) {
      throw new UffbError(
        `${name}: the logits differ from those of the first rung; report this, with the model and the CPU`,
      );
    }
    rungs.push({ name, run, score: metrics[0]!.value, logitError: logitError(predictions, first) });
  }
  return { rungs, examples: dataset.examples.length, fixedLength, warnings: [...warnings] };
}

function sameLogits(a: readonly Prediction[], b: readonly Prediction[]): boolean {
  return a.every(({ logits }, i) => logits.every((logit, c) => Object.is(logit, b[i]!.logits[c])));
}

function logitError(a: readonly Prediction[], b: readonly Prediction[]): number {
  return a.reduce(
    (most, { logits }, i) => Math.max(most, ...logits.map((logit, c) => Math.abs(logit - b[i]!.logits[c]!))),
    0,
  );
}
