/** The first weights of a new model. */
import { NativeTrainer, type Parameter } from "../../../ffi/train.ts";
import { Random } from "../../base/random.ts";
import type { Config } from "../../model/config.ts";
import { DEVIATION } from "../head.ts";

/**
 * A trainer of a new model. As in cramming and UltraFastBERT, matrices and the embedding, its padding row included, are N(0, 0.02), whatever
 * their layer's own constructor gave them; biases are 0, factors of norms 1, the factor of the sinusoids 1/sqrt(hidden).
 */
export function newTrainer({ arch }: Config, seed: number): NativeTrainer {
  const trainer = new NativeTrainer(arch);
  for (const parameter of trainer.parameters()) {
    const first = firstWeights(parameter, arch, seed);
    if (first === undefined) continue; // a bias that such models lack
    trainer.set(parameter.name, first);
  }
  return trainer;
}

/** Biases that a crammedBERT has though `use_bias` is off. */
const BIASES = /norm\d?\.bias$|\.fff\.in\.bias$/;

function firstWeights(
  { name, rows, cols }: Parameter,
  { hidden, heads }: Config["arch"],
  seed: number,
): Float32Array | undefined {
  const size = rows * cols;
  if (name === "embed.position.scale") return Float32Array.of(1 / Math.sqrt(hidden));
  if (name.endsWith(".attn.scale")) return Float32Array.of(1 / Math.sqrt(hidden / heads));
  if (/norm\d?\.weight$/.test(name)) return new Float32Array(size).fill(1);
  if (name.endsWith(".bias")) return BIASES.test(name) ? new Float32Array(size) : undefined;
  return new Random(seed, `weights of ${name}`).normal(size, DEVIATION);
}
