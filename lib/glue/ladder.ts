import { cpuCount } from "../../ffi/engine.ts";
import { UffbError } from "../errors.ts";
import type { Model } from "../model.ts";
import type { Dataset } from "./data.ts";
import { prepare } from "./evaluate.ts";
import { type Run, type RunOptions, run } from "./run.ts";

/** One way to run the same inputs. */
export interface Rung {
  name: string;
  run: Omit<Run, "logits">;
}

export interface Ladder {
  /** From the slowest idea to the fastest. */
  rungs: Rung[];
  examples: number;
  /** Tokens every input is padded to on the first rung. */
  fixedLength: number;
  warnings: string[];
}

/**
 * Times one split in the steps by which FastFormers (arXiv 2010.13382) sped up inference on CPUs: every input padded to the maximum, then
 * inputs of their own length, then an engine a core instead of one on all cores. Logits are the same on every rung, or it throws.
 */
export async function ladder(
  model: Model,
  dataset: Dataset,
  options: Pick<RunOptions, "batchTokens" | "onProgress"> = {},
): Promise<Ladder> {
  const { inputs, maximum, warnings } = prepare(model, dataset);
  const cores = cpuCount();
  const ways: [name: string, how: RunOptions][] = [
    [`fixed length ${maximum}`, { padTo: maximum }],
    ["dynamic length", {}],
    [`dynamic length, ${cores} instances`, { instances: cores }],
  ];
  await run(model, inputs.slice(0, 8)); // so that no rung pays for the first touch of the weights
  const rungs: Rung[] = [];
  let first: Float32Array | undefined;
  for (const [name, how] of ways) {
    const { logits, ...rest } = await run(model, inputs, { ...options, ...how });
    first ??= logits;
    if (!logits.every((logit, i) => Object.is(logit, first![i]))) {
      throw new UffbError(
        `${name}: the logits differ from those of the first rung; report this, with the model and the CPU`,
      );
    }
    rungs.push({ name, run: rest });
  }
  return { rungs, examples: inputs.length, fixedLength: maximum, warnings };
}
