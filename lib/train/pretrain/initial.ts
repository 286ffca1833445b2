/** The first weights of a new model. */
import { NativeTrainer, type Parameter } from "../../../ffi/train.ts";
import { Random } from "../../base/random.ts";
import type { Config } from "../../model/config.ts";
import { DEVIATION } from "../head.ts";

/**
 * How large the first weights of matrices are. `published`, as in cramming and UltraFastBERT: N(0, 0.02), whatever their layer's own constructor
 * gave them. `fan-in`: of the deviation that those constructors give, 1/sqrt(3 n), where an output is a sum over n inputs; for trees these are the
 * nodes of a path (`FFF.__init__` in github.com/pbelcak/UltraFastBERT, and torch.nn.Linear). The embedding is N(0, 1/sqrt(hidden)) then, as the
 * tied one of Vaswani et al. (arXiv 1706.03762, 3.4).
 */
export const INITS = ["published", "fan-in"] as const;
export type Init = (typeof INITS)[number];

export interface Beginning {
  seed: number;
  init: Init;
  /** Of the positions' sinusoids, for good; 0: 1/sqrt(hidden), and it is trained. */
  positionFactor: number;
}

/**
 * A trainer of a new model. Matrices and the embedding, its padding row included, are as `init` says, biases 0, factors of norms 1, the factor of
 * the sinusoids 1/sqrt(hidden) unless another is given.
 */
export function newTrainer({ arch, padding }: Config, beginning: Beginning): NativeTrainer {
  const trainer = new NativeTrainer(arch, padding);
  for (const parameter of trainer.parameters()) {
    const first = firstWeights(parameter, arch, beginning);
    if (first === undefined) continue; // a bias that such models lack
    trainer.set(parameter.name, first);
  }
  if (beginning.positionFactor > 0) trainer.mark(POSITION_FACTOR, { trainable: false, decays: false });
  return trainer;
}

/** The parameter that the positions' sinusoids are multiplied by. */
export const POSITION_FACTOR = "embed.position.scale";

/** Biases that a crammedBERT has though `use_bias` is off. */
const BIASES = /norm\d?\.bias$|\.fff\.in\.bias$/;

function firstWeights(
  { name, rows, cols }: Parameter,
  { hidden, headSize, depth }: Config["arch"],
  { seed, init, positionFactor }: Beginning,
): Float32Array | undefined {
  const size = rows * cols;
  if (name === POSITION_FACTOR) return Float32Array.of(positionFactor || 1 / Math.sqrt(hidden));
  if (name.endsWith(".attn.scale")) return Float32Array.of(1 / Math.sqrt(headSize));
  if (/norm\d?\.weight$/.test(name)) return new Float32Array(size).fill(1);
  if (name.endsWith(".bias")) return BIASES.test(name) ? new Float32Array(size) : undefined;
  return new Random(seed, `weights of ${name}`).normal(size, init === "published" ? DEVIATION : fanIn());

  function fanIn(): number {
    if (name.startsWith("embed.")) return 1 / Math.sqrt(hidden);
    return 1 / Math.sqrt(3 * (name.endsWith(".fff.out.weight") ? depth + 1 : cols));
  }
}
