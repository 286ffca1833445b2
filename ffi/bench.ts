import {
  type BenchShape,
  type Contender,
  type Handle,
  UFFB_BF16,
  UFFB_CACHE_COLD,
  UFFB_CACHE_ROTATED,
  UFFB_CACHE_WARM,
  UFFB_F32,
  UFFB_FILL_SKEWED,
  UFFB_FILL_UNIFORM,
  UFFB_FILL_ZERO,
  UFFB_PROBE_BF16,
  UFFB_PROBE_FLOPS,
  UFFB_PROBE_L2,
  UFFB_PROBE_MEMORY,
  UFFB_PROBE_OPS_I8,
} from "./bindings.ts";
import { checked, native } from "./library.ts";
import type { NativeModel } from "./model.ts";
import { Resource } from "./resource.ts";
import { InvalidError } from "./status.ts";

export const FILLS = { uniform: UFFB_FILL_UNIFORM, skewed: UFFB_FILL_SKEWED, zero: UFFB_FILL_ZERO } as const;
export type Fill = keyof typeof FILLS;

/** What is in the caches before a timed call; see bench.h. */
export const CACHES = {
  warm: UFFB_CACHE_WARM,
  cold: UFFB_CACHE_COLD,
  rotated: UFFB_CACHE_ROTATED,
} as const;
export type Cache = keyof typeof CACHES;

/** The dtypes that our own FFF kernels can read weights in. */
export const ROW_DTYPES = { f32: UFFB_F32, bf16: UFFB_BF16 } as const;
export type RowDtype = keyof typeof ROW_DTYPES;

const PROBES = {
  flops: UFFB_PROBE_FLOPS,
  bf16: UFFB_PROBE_BF16,
  int8: UFFB_PROBE_OPS_I8,
  memory: UFFB_PROBE_MEMORY,
  l2: UFFB_PROBE_L2,
} as const;

/** A BLAS library opened at run time, which stays loaded until the process ends, or the engine's own. */
export class NativeBlas extends Resource {
  /** The version that the library reports. */
  readonly version: string;
  /** Whether it has Levels 1 and 2 as well as 3. */
  readonly complete: boolean;

  /**
   * Without `path`, the engine's own dot, axpy, gemv and gemm.
   *
   * @throws InvalidError when `path` cannot be opened or is no BLAS; NoMemoryError
   */
  constructor(readonly path?: string) {
    const out: [Handle | null] = [null];
    checked((library) =>
      path === undefined ? library.uffb_blas_own(out) : library.uffb_blas_open(path, out),
    );
    super(out[0], (handle) => native().uffb_blas_close(handle));
    this.version = native().uffb_blas_version(this.handle);
    this.complete = native().uffb_blas_levels(this.handle) === 3;
  }
}

/** Ways to compute a layer, as bench.h lists them; `index` names one to NativeBench. */
export type ContenderInfo = Omit<Contender, "fff" | "blas" | "published"> & {
  index: number;
  fff: boolean;
  blas: boolean;
  published: boolean;
};

export function contenders(): ContenderInfo[] {
  return Array.from({ length: native().uffb_contender_count() }, (_, index) => {
    const info: Partial<Contender> = {};
    checked((library) => library.uffb_contender_info(index, info));
    const { name, level, fff, blas, published } = info as Contender;
    return { index, name, level, fff: fff !== 0, blas: blas !== 0, published: published !== 0 };
  });
}

/** The instruction sets with kernels of their own for a layer in f32 or bf16, best first: VNNI, say, is for integers alone. */
export function contenderIsas(): string[] {
  return native().uffb_contender_isas().split(",");
}

/**
 * Bytes that a bench of this shape needs at most.
 *
 * @throws InvalidError naming the impossible field
 */
export function benchBytes(shape: Readonly<BenchShape>): number {
  const bytes = native().uffb_bench_bytes(shape);
  if (bytes === 0) throw new InvalidError(native().uffb_error());
  return bytes;
}

export interface Trial {
  contender: number;
  blas?: NativeBlas | undefined;
  isa?: string | undefined;
  tokens: number;
}

/** One feedforward layer with random weights and a batch of inputs; see bench.h. */
export class NativeBench extends Resource {
  /** @throws InvalidError naming the impossible field; NoMemoryError */
  constructor(readonly shape: Readonly<BenchShape>) {
    const out: [Handle | null] = [null];
    checked((library) => library.uffb_bench_new(shape, out));
    super(out[0], (handle) => native().uffb_bench_free(handle));
  }

  fill(fill: Fill, seed: number): void {
    const { handle } = this;
    checked((library) => library.uffb_bench_fill(handle, FILLS[fill], seed));
  }

  /** The weights of a model's FFF layer, and inputs [tokens, hidden] repeated to fill the batch. */
  fillFrom(model: NativeModel, layer: number, input: Float32Array): void {
    const { handle } = this;
    const tokens = input.length / this.shape.hidden;
    if (!Number.isInteger(tokens)) throw new InvalidError("the input is not [tokens, hidden]");
    checked((library) => library.uffb_bench_fill_from(handle, model.handle, layer, tokens, input));
  }

  /** Seconds of one call, or of the mean of a call with each copy of the weights when they are rotated. */
  run({ contender, blas, isa, tokens }: Trial, cache: Cache): number {
    const { handle } = this;
    const seconds = new Float64Array(1);
    checked((library) =>
      library.uffb_bench_run(
        handle,
        contender,
        blas?.handle ?? null,
        isa ?? null,
        tokens,
        CACHES[cache],
        seconds,
      ),
    );
    return seconds[0]!;
  }

  /** Error of one call, relative to the largest value of a double-precision evaluation; tokens too close to call are counted. */
  check({ contender, blas, isa, tokens }: Trial): { error: number; ties: number } {
    const { handle } = this;
    const error = new Float64Array(1);
    const ties = new BigInt64Array(1);
    checked((library) =>
      library.uffb_bench_check(handle, contender, blas?.handle ?? null, isa ?? null, tokens, error, ties),
    );
    return { error: error[0]!, ties: Number(ties[0]) };
  }

  /** How many leaves of the first tree the batch reaches, and the share of tokens at the busiest. */
  leaves(): { leaves: number; busiest: number } {
    const { handle } = this;
    const leaves = new BigInt64Array(1);
    const busiest = new Float64Array(1);
    checked((library) => library.uffb_bench_leaves(handle, leaves, busiest));
    return { leaves: Number(leaves[0]), busiest: busiest[0]! };
  }
}

/** This machine's limits: operations/s in f32, in bf16 or on 8-bit integers, 2 a multiply-add; bytes/s from memory or L2. */
export function probe(what: keyof typeof PROBES, threads: number, seconds: number): number {
  const rate = new Float64Array(1);
  checked((library) => library.uffb_probe(PROBES[what], threads, seconds, rate));
  return rate[0]!;
}
