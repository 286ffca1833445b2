/** How fast a step can be. */
import { probe } from "../../ffi/bench.ts";
import { type Arch, UFFB_FFN_FFF, UFFB_FFN_GLU } from "../../ffi/bindings.ts";
import type { Compute } from "../../ffi/train.ts";
import { headCount } from "../model/families/heads.ts";

/** Seconds that the CPU's peak is measured for. */
const PROBE_SECONDS = 0.1;

/** Operations a second that this CPU reaches in a multiplication of matrices. */
export function peakRate(compute: Compute, threads: number): number {
  return probe(compute === "bf16" ? "bf16" : "flops", threads, PROBE_SECONDS);
}

/**
 * Floating-point operations of one forward pass, a multiplication and an addition being two: of projections, the feedforward layers (of
 * trees, the nodes on a path) and attention. Embeddings, norms, activations and heads are left out.
 * @param lengths tokens of each sequence
 * @param layers how many of them count, the last ones
 */
export function forwardFlops(arch: Readonly<Arch>, lengths: readonly number[], layers = arch.layers): number {
  const { hidden, headSize, width, trees, depth, feedforward } = arch;
  const nodes = feedforward === UFFB_FFN_FFF ? 2 * trees * (depth + 1) : 0;
  const rows = nodes + width + (feedforward === UFFB_FFN_GLU ? width / 2 : width);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const pairs = lengths.reduce((sum, length) => sum + length * length, 0);
  let sum = layers * tokens * 2 * hidden * rows;
  for (let layer = arch.layers - layers; layer < arch.layers; layer++) {
    const attended = headCount(arch, layer) * headSize;
    // Projections; then scores and weighted sums: each token with each of its sequence.
    sum += tokens * 2 * hidden * 4 * attended + pairs * 4 * attended;
  }
  return sum;
}

/** The same of the decoder, for so many predicted tokens: logits of the whole vocabulary each. */
export function headFlops({ hidden, vocab }: Readonly<Arch>, predicted: number): number {
  return 2 * hidden * vocab * predicted;
}

/**
 * The least time of a step in seconds, were all of it multiplication of matrices at the CPU's peak rate: one forward pass, and for the
 * layers that are trained twice as much again.
 * @param rate operations a second
 */
export function stepBound(
  arch: Readonly<Arch>,
  lengths: readonly number[],
  rate: number,
  frozen: number,
): number {
  return (forwardFlops(arch, lengths) + 2 * forwardFlops(arch, lengths, arch.layers - frozen)) / rate;
}
