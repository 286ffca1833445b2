/** The first weights of a new model. */
import { NativeTrainer, type Parameter } from "../../../ffi/train.ts";
import { Random } from "../../base/random.ts";
import type { Config } from "../../model/config.ts";
import { DEVIATION } from "../head.ts";

/**
 * How large the first weights of matrices are. `published`, as in cramming and UltraFastBERT: N(0, 0.02), whatever their layer's own constructor
 * gave them. `fan-in`: of the deviation that those constructors give, 1/sqrt(3 n), where an output is a sum over n inputs; for trees these are the
 * nodes of a path (`FFF.__init__` in github.com/pbelcak/UltraFastBERT, and torch.nn.Linear).
 */
export const INITS = ["published", "fan-in"] as const;
export type Init = (typeof INITS)[number];

/**
 * A trainer of a new model. Matrices are as `init` says; the embedding, its padding row included, is N(0, 0.02), biases are 0, factors of norms 1,
 * the factor of the sinusoids 1/sqrt(hidden).
 */
export function newTrainer({ arch }: Config, { seed, init }: { seed: number; init: Init }): NativeTrainer {
  const trainer = new NativeTrainer(arch);
  for (const parameter of trainer.parameters()) {
    const first = firstWeights(parameter, arch, { seed, init });
    if (first === undefined) continue; // a bias that such models lack
    trainer.set(parameter.name, first);
  }
  return trainer;
}

/** Biases that a crammedBERT has though `use_bias` is off. */
const BIASES = /norm\d?\.bias$|\.fff\.in\.bias$/;

function firstWeights(
  { name, rows, cols }: Parameter,
  { hidden, heads, depth }: Config["arch"],
  { seed, init }: { seed: number; init: Init },
): Float32Array | undefined {
  const size = rows * cols;
  if (name === "embed.position.scale") return Float32Array.of(1 / Math.sqrt(hidden));
  if (name.endsWith(".attn.scale")) return Float32Array.of(1 / Math.sqrt(hidden / heads));
  if (/norm\d?\.weight$/.test(name)) return new Float32Array(size).fill(1);
  if (name.endsWith(".bias")) return BIASES.test(name) ? new Float32Array(size) : undefined;
  return new Random(seed, `weights of ${name}`).normal(size, deviation(init));

  function deviation(init: Init): number {
    if (init === "published" || name.startsWith("embed.")) return DEVIATION;
    return 1 / Math.sqrt(3 * (name.endsWith(".fff.out.weight") ? depth + 1 : cols));
  }
}
