import {
  type Handle,
  UFFB_POOL_FIRST,
  UFFB_POOL_LAST,
  UFFB_POOL_LSE,
  UFFB_POOL_MAX,
  UFFB_POOL_MEAN,
  UFFB_POOL_MEAN_SQRT,
  UFFB_POOL_WEIGHTED,
} from "./bindings.ts";
import { callAsync } from "./call.ts";
import { checked, type Library, native } from "./library.ts";
import type { NativeModel } from "./model.ts";
import { Resource } from "./resource.ts";
import { check, EngineError, InvalidError } from "./status.ts";
import type { NativeTaps } from "./taps.ts";

/** Sequences without padding: sequence s holds the tokens offsets[s] to offsets[s + 1] - 1. */
export interface Batch {
  /** [sequences + 1], from 0 to tokens */
  offsets: BigInt64Array;
  /** [tokens] */
  ids: Int32Array;
  /** [tokens], or absent for all 0 */
  types?: Int32Array | undefined;
}

export interface ContextOptions {
  /** CPU threads; 0 (the default) for all that this process may use. */
  threads?: number | undefined;
  /** Instruction set; the environment's UFFB_ISA or else the best when absent. */
  isa?: string | undefined;
}

const POOLINGS = {
  first: UFFB_POOL_FIRST,
  mean: UFFB_POOL_MEAN,
  max: UFFB_POOL_MAX,
  lse: UFFB_POOL_LSE,
  last: UFFB_POOL_LAST,
  "mean-sqrt": UFFB_POOL_MEAN_SQRT,
  weighted: UFFB_POOL_WEIGHTED,
} as const;
export type Pooling = keyof typeof POOLINGS;

/** The name of UFFB_POOL_FIRST and so on. */
export function poolingName(code: number): Pooling {
  return (Object.keys(POOLINGS) as Pooling[]).find((name) => POOLINGS[name] === code)!;
}

/** @throws InvalidError when the sizes of a batch's arrays do not fit together */
export function checkBatch({ offsets, ids, types }: Batch): void {
  const sequences = offsets.length - 1;
  if (sequences < 0 || offsets[0] !== 0n || offsets[sequences] !== BigInt(ids.length)) {
    throw new InvalidError(`offsets must run from 0 to the number of tokens, ${ids.length}`);
  }
  if (types !== undefined && types.length !== ids.length) {
    throw new InvalidError(`${types.length} token types for ${ids.length} tokens`);
  }
}

/** Calls that may take long: they run on another thread. */
type LongCall =
  | "uffb_encode"
  | "uffb_mlm_logits"
  | "uffb_mlm_top_k"
  | "uffb_pool"
  | "uffb_classify"
  | "uffb_classify_tokens";
type Rest<F> = F extends (context: Handle | null, ...rest: infer R) => number ? R : never;

/**
 * Scratch memory and threads to run a model with, one call at a time. Heads work on the batch encoded last. The arrays given to a call
 * must not change until its promise settles.
 */
export class NativeContext extends Resource {
  /** The instruction set in use. */
  readonly isa: string;
  readonly threads: number;
  readonly #model: NativeModel;
  #running = false;
  #tokens = 0;
  #sequences = 0;

  /** @throws UnsupportedError naming the instruction sets there are; InvalidError when the model is not ready */
  constructor(model: NativeModel, { threads = 0, isa }: ContextOptions = {}) {
    const out: [Handle | null] = [null];
    checked((library) => library.uffb_context_new(model.handle, threads, isa ?? null, out));
    const release = model.hold();
    super(out[0], (handle) => {
      native().uffb_context_free(handle);
      release();
    });
    this.#model = model;
    this.isa = native().uffb_context_isa(this.handle);
    this.threads = native().uffb_context_threads(this.handle);
  }

  /**
   * Runs a batch to its final states.
   *
   * @throws InvalidError when the batch is not well formed; CancelledError
   */
  async encode(batch: Batch, taps?: NativeTaps): Promise<void> {
    checkBatch(batch);
    const { offsets, ids, types } = batch;
    const sequences = offsets.length - 1;
    const handle = taps?.handle ?? null;
    const release = taps?.hold();
    try {
      await this.#call("uffb_encode", sequences, offsets, ids, types ?? null, handle);
      this.#sequences = sequences;
      this.#tokens = ids.length;
    } finally {
      release?.();
    }
  }

  /**
   * Takes final states [tokens, hidden] of a batch that were computed elsewhere, as if `encode` had; within `exclusively`.
   *
   * @throws InvalidError
   */
  protected takeFinal(batch: Batch, final: Float32Array): void {
    checkBatch(batch);
    const { offsets, ids } = batch;
    if (final.length !== ids.length * this.#model.arch.hidden) {
      throw new InvalidError(`${final.length} numbers for the final states of ${ids.length} tokens`);
    }
    const { handle } = this;
    const sequences = offsets.length - 1;
    check(native().uffb_take_final(handle, sequences, offsets, final), () =>
      native().uffb_context_error(handle),
    );
    this.#sequences = sequences;
    this.#tokens = ids.length;
  }

  /** Logits [positions, vocab] of the MLM head at token rows of the batch. */
  async mlmLogits(positions: ArrayLike<number>): Promise<Float32Array> {
    const logits = new Float32Array(positions.length * this.#model.arch.vocab);
    await this.#call("uffb_mlm_logits", positions.length, this.#rows(positions), logits);
    return logits;
  }

  /** The `k` most probable tokens at token rows of the batch, best first: ids and probabilities [positions, k]. */
  async mlmTopK(
    positions: ArrayLike<number>,
    k: number,
  ): Promise<{ ids: Int32Array; probabilities: Float32Array }> {
    const { vocab } = this.#model.arch;
    if (!Number.isInteger(k) || k < 1 || k > vocab) throw new InvalidError(`k is ${k}, not 1 to ${vocab}`);
    const ids = new Int32Array(positions.length * k);
    const probabilities = new Float32Array(positions.length * k);
    await this.#call("uffb_mlm_top_k", positions.length, this.#rows(positions), k, ids, probabilities);
    return { ids, probabilities };
  }

  /**
   * One vector for each sequence of the batch: [sequences, hidden]. Only real tokens count, there is no padding; the first `skip` are left
   * out, and a sequence that has no others has a vector of zeros.
   */
  async pool(pooling: Pooling, skip = 0): Promise<Float32Array> {
    const vectors = new Float32Array(this.#sequences * this.#model.arch.hidden);
    await this.#call("uffb_pool", POOLINGS[pooling], skip, vectors);
    return vectors;
  }

  /** Logits [sequences, labels] of the classification head. */
  async classify(): Promise<Float32Array> {
    const logits = new Float32Array(this.#sequences * this.#model.arch.labels);
    await this.#call("uffb_classify", logits);
    return logits;
  }

  /** Logits [tokens, labels] of the head that classifies each token. */
  async classifyTokens(): Promise<Float32Array> {
    const logits = new Float32Array(this.#tokens * this.#model.arch.labels);
    await this.#call("uffb_classify_tokens", logits);
    return logits;
  }

  /** Stops the running call, or else the next one, with CancelledError. Does nothing after the context was disposed of. */
  cancel(): void {
    if (!this.disposed) check(native().uffb_context_cancel(this.handle), () => "the engine could not cancel");
  }

  /** A call that still runs is stopped. */
  override [Symbol.dispose](): void {
    if (this.#running) this.cancel();
    super[Symbol.dispose]();
  }

  #assertIdle(): void {
    if (this.#running) throw new EngineError("a context runs one call at a time; another one is running");
  }

  #rows(positions: ArrayLike<number>): BigInt64Array {
    return BigInt64Array.from({ length: positions.length }, (_, i) => {
      const row = positions[i]!;
      if (!Number.isInteger(row) || row < 0 || row >= this.#tokens) {
        throw new InvalidError(`position ${row} is not a token of the batch, which has ${this.#tokens}`);
      }
      return BigInt(row);
    });
  }

  /**
   * Runs something with the context and nothing else beside it; until it ends, the context's memory stays. `forgets`: the batch that was
   * encoded before is gone, whatever happens.
   *
   * @throws EngineError when something runs already
   */
  protected async exclusively(run: () => Promise<void>, forgets: boolean): Promise<void> {
    this.#assertIdle();
    const release = this.hold();
    this.#running = true;
    if (forgets) this.#sequences = this.#tokens = 0;
    try {
      await run();
    } finally {
      this.#running = false;
      release();
    }
  }

  /** `args` holds every buffer until the other thread is done with it. */
  async #call<N extends LongCall>(name: N, ...args: Rest<Library[N]>): Promise<void> {
    const { handle } = this;
    const run = async () => {
      const call = native()[name] as (context: Handle, ...rest: unknown[]) => number;
      const status = await callAsync(call, handle, ...args);
      this.#model.checkMemory();
      check(status, () => native().uffb_context_error(handle));
    };
    await this.exclusively(run, name === "uffb_encode");
  }
}
