export const SHAPES = ["cosine", "linear", "constant"] as const;
export type Shape = (typeof SHAPES)[number];

/** How the learning rate goes over a run. */
export interface Schedule {
  shape: Shape;
  /** The largest rate. */
  peak: number;
  /** Share of the steps over which it rises. */
  warmup: number;
}

/** What is left of the peak when a share of the run is over. */
const DECAY: Record<Shape, (done: number) => number> = {
  cosine: (done) => (1 + Math.cos(Math.PI * done)) / 2,
  linear: (done) => 1 - done,
  constant: () => 1,
};

/**
 * The learning rate of step `step`, 0 to `steps` - 1: the decay, which begins at once, times a rise to 1 over the first steps. So does the
 * fine-tuning of cramming and UltraFastBERT; `transformers` begins the decay after the rise.
 */
export function learningRate({ shape, peak, warmup }: Schedule, step: number, steps: number): number {
  const rise = Math.round(warmup * steps);
  return peak * DECAY[shape](step / steps) * (rise > 0 ? Math.min(1, (step + 1) / rise) : 1);
}
