import { type Batch, NativeContext } from "../../../ffi/context.ts";
import type { Runner } from "./runners.ts";

/** A model that is ready to be timed. */
export interface Timer extends Disposable {
  readonly isa: string | null;
  readonly threads: number | null;
  /** Of what it computes, where that was compared. */
  readonly error: number | null;
  /** Seconds of one batch, from ids to final states. */
  time(batch: Batch): Promise<number>;
}

/** Times a model on `threads` threads of the CPU. */
export function cpuTimer({ model }: Runner, threads: number): Timer {
  const context = new NativeContext(model, { threads });
  return {
    isa: context.isa,
    threads: context.threads,
    error: null,
    async time(batch) {
      const before = performance.now();
      await context.encode(batch);
      return (performance.now() - before) / 1000;
    },
    [Symbol.dispose]: () => context[Symbol.dispose](),
  };
}
