export const SHAPES = ["cosine", "linear", "constant", "triangle"] as const;
export type Shape = (typeof SHAPES)[number];

/** How the learning rate goes over a run. */
export interface Schedule {
  shape: Shape;
  /** The largest rate. */
  peak: number;
  /** Share of the steps over which it rises. */
  warmup: number;
}

/** The rate as a share of the peak when a share of the run is over. */
const DECAY: Record<Shape, (done: number) => number> = {
  cosine: (done) => (1 + Math.cos(Math.PI * done)) / 2,
  linear: (done) => 1 - done,
  constant: () => 1,
  // Of cramming and UltraFastBERT ("budget-triangle3"): from a quarter up to the peak at three quarters, then to nothing.
  triangle: (done) => Math.min(0.25 + done, (1 - done) / 0.25),
};

/**
 * The learning rate of step `step`, 0 to `steps` - 1: the decay, which begins at once, times a rise to 1 over the first steps. So does the
 * fine-tuning of cramming and UltraFastBERT; `transformers` begins the decay after the rise. A run of a budget counts tokens, or seconds,
 * instead of steps.
 */
export function learningRate({ shape, peak, warmup }: Schedule, step: number, steps: number): number {
  const rise = Math.round(warmup * steps);
  return peak * DECAY[shape](step / steps) * (rise > 0 ? Math.min(1, (step + 1) / rise) : 1);
}
