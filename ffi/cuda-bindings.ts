// Generated from kernels/cuda/uffb_cuda.h by `bun ffi/generate.ts`; do not edit.

import type { Handle } from "./bindings.ts";

// Raised whenever something below changes, or UFFB_ABI_VERSION does.
export const UFFB_CUDA_ABI_VERSION = 4;

export interface CudaInfo {
  name: string;
  /** "cuBLAS 13.0.2", or "" when it was not found */
  cublas: string;
  /** bytes */
  memory: number;
  /** bytes */
  l2: number;
  /** 90 for 9.0 */
  capability: number;
  /** streaming multiprocessors */
  multiprocessors: number;
  /** highest CUDA version that the driver runs: 13000 for 13.0 */
  driver: number;
  /** the CUDA version that the library was built with */
  runtime: number;
}

export interface CudaBenchShape {
  hidden: number;
  /** FFF when > 0 */
  trees: number;
  depth: number;
  /** dense when trees = 0 */
  width: number;
  /** most tokens of a call */
  batch: number;
  /** rows of input, at least `batch`; calls take turns with them */
  inputs: number;
  activation: number;
  /** UFFB_F32, UFFB_F16 or UFFB_BF16: weights, inputs and outputs; sums are f32 */
  dtype: number;
  device: number;
  /** 1: no call finds its weights in L2; 0: calls have the same weights, which stay there if they fit */
  cold: number;
}

export interface CudaContender {
  name: string;
  /** 1: for FFF layers, 0: for dense ones */
  fff: number;
  /** 1: needs cuBLAS */
  library: number;
  /** bits 1 << UFFB_F32, 1 << UFFB_F16, 1 << UFFB_BF16 */
  dtypes: number;
  /** 1: f32 through TF32 tensor cores, whose results have 10 bits of mantissa */
  tensor: number;
}

/** Members of each struct, in order, with their C types. */
export const STRUCTS = {
  uffb_cuda_info: {
    name: "char[128]",
    cublas: "char[64]",
    memory: "int64_t",
    l2: "int64_t",
    capability: "int32_t",
    multiprocessors: "int32_t",
    driver: "int32_t",
    runtime: "int32_t",
  },
  uffb_cuda_bench_shape: {
    hidden: "int64_t",
    trees: "int64_t",
    depth: "int64_t",
    width: "int64_t",
    batch: "int64_t",
    inputs: "int64_t",
    activation: "int32_t",
    dtype: "int32_t",
    device: "int32_t",
    cold: "int32_t",
  },
  uffb_cuda_contender: {
    name: "char[32]",
    fff: "int32_t",
    library: "int32_t",
    dtypes: "int32_t",
    tensor: "int32_t",
  },
} as const;

export const OPAQUE = ["uffb_cuda_encoder", "uffb_cuda_bench"] as const;

/** Prototypes as koffi reads them: `_Out_` marks what the library writes. */
export const PROTOTYPES = {
  uffb_cuda_abi_version: "int32_t uffb_cuda_abi_version(void)",
  uffb_cuda_error: "const char *uffb_cuda_error(void)",
  uffb_cuda_device_count: "int32_t uffb_cuda_device_count(int32_t *count)",
  uffb_cuda_device_info: "int32_t uffb_cuda_device_info(int32_t device, _Out_ uffb_cuda_info *info)",
  uffb_cuda_encoder_new:
    "int32_t uffb_cuda_encoder_new(const uffb_model *model, int32_t device, int32_t dtype, _Out_ uffb_cuda_encoder **encoder)",
  uffb_cuda_encoder_free: "void uffb_cuda_encoder_free(uffb_cuda_encoder *encoder)",
  uffb_cuda_encoder_error: "const char *uffb_cuda_encoder_error(const uffb_cuda_encoder *encoder)",
  uffb_cuda_encoder_tune: "void uffb_cuda_encoder_tune(uffb_cuda_encoder *encoder)",
  uffb_cuda_encode:
    "int32_t uffb_cuda_encode(uffb_cuda_encoder *encoder, int64_t sequences, const int64_t *offsets, const int32_t *ids, const int32_t *types, float *final)",
  uffb_cuda_encode_seconds: "double uffb_cuda_encode_seconds(const uffb_cuda_encoder *encoder)",
  uffb_cuda_contender_count: "int64_t uffb_cuda_contender_count(void)",
  uffb_cuda_contender_info:
    "int32_t uffb_cuda_contender_info(int64_t index, _Out_ uffb_cuda_contender *info)",
  uffb_cuda_bench_bytes: "uint64_t uffb_cuda_bench_bytes(const uffb_cuda_bench_shape *shape)",
  uffb_cuda_bench_new:
    "int32_t uffb_cuda_bench_new(const uffb_cuda_bench_shape *shape, _Out_ uffb_cuda_bench **bench)",
  uffb_cuda_bench_free: "void uffb_cuda_bench_free(uffb_cuda_bench *bench)",
  uffb_cuda_bench_fill: "int32_t uffb_cuda_bench_fill(uffb_cuda_bench *bench, int32_t fill, uint64_t seed)",
  uffb_cuda_bench_fill_from:
    "int32_t uffb_cuda_bench_fill_from(uffb_cuda_bench *bench, const uffb_model *model, int64_t layer, int64_t tokens, const float *input)",
  uffb_cuda_bench_run:
    "int32_t uffb_cuda_bench_run(uffb_cuda_bench *bench, int64_t contender, int64_t tokens, int64_t calls, double *seconds)",
  uffb_cuda_bench_check:
    "int32_t uffb_cuda_bench_check(uffb_cuda_bench *bench, int64_t contender, int64_t tokens, double *error, int64_t *ties)",
} as const;

/** The library's functions. */
export interface Functions {
  uffb_cuda_abi_version(): number;
  uffb_cuda_error(): string;
  uffb_cuda_device_count(count: Int32Array | null): number;
  uffb_cuda_device_info(device: number, info: Partial<CudaInfo>): number;
  /**
   * Copies a ready model to a device, for matrices and activations of `dtype`: UFFB_F32, UFFB_F16 or
   * UFFB_BF16 (sums, norms and the residual stream are f32 in each; f32 uses no TF32). The model may be freed
   * afterwards. 8-bit projections become `dtype`.
   */
  uffb_cuda_encoder_new(
    model: Handle | null,
    device: number,
    dtype: number,
    encoder: [Handle | null],
  ): number;
  uffb_cuda_encoder_free(encoder: Handle | null): void;
  /** One line about the encoder's last failure, for calls made on another thread. */
  uffb_cuda_encoder_error(encoder: Handle | null): string;
  /**
   * From now on the encoder times what cuBLASLt offers for each size of product that is new, and keeps the
   * fastest. The first batch of a size takes long, so this is for many batches of few sizes.
   */
  uffb_cuda_encoder_tune(encoder: Handle | null): void;
  /**
   * The arguments of uffb_encode; final states [tokens, hidden] go to the caller's memory, for
   * uffb_take_final and its heads.
   */
  uffb_cuda_encode(
    encoder: Handle | null,
    sequences: number,
    offsets: BigInt64Array | null,
    ids: Int32Array | null,
    types: Int32Array | null,
    final: Float32Array | null,
  ): number;
  /** Seconds that the device itself took for the last encode, copies of ids and final states included. */
  uffb_cuda_encode_seconds(encoder: Handle | null): number;
  uffb_cuda_contender_count(): number;
  uffb_cuda_contender_info(index: number, info: Partial<CudaContender>): number;
  /**
   * Bytes of device memory that uffb_cuda_bench_new and the contenders of this shape allocate at most; 0: not
   * a valid shape, or no such device.
   */
  uffb_cuda_bench_bytes(shape: CudaBenchShape): number;
  uffb_cuda_bench_new(shape: CudaBenchShape, bench: [Handle | null]): number;
  uffb_cuda_bench_free(bench: Handle | null): void;
  /**
   * UFFB_FILL_* of bench.h. The same numbers as uffb_bench_fill gives for the same seed, rounded to the
   * bench's dtype.
   */
  uffb_cuda_bench_fill(bench: Handle | null, fill: number, seed: number): number;
  /** The weights of a model's layer, and `tokens` inputs [tokens, hidden], repeated. */
  uffb_cuda_bench_fill_from(
    bench: Handle | null,
    model: Handle | null,
    layer: number,
    tokens: number,
    input: Float32Array | null,
  ): number;
  /**
   * Runs a contender `calls` times on `tokens` tokens each, as one captured graph, and gives the seconds of a
   * call by the device's own clock. Each call takes the next inputs. Cold, the graph has a call for each of
   * up to 64 copies of the weights, as many as memory allows but at least two; it runs until there were
   * `calls`, and before each run, untimed, L2 is filled with something else.
   */
  uffb_cuda_bench_run(
    bench: Handle | null,
    contender: number,
    tokens: number,
    calls: number,
    seconds: Float64Array | null,
  ): number;
  /**
   * Runs it once on the first `tokens` inputs, over poisoned outputs, and compares with a double-precision
   * evaluation of the rounded weights: `error` is the largest difference over the largest value; `ties`
   * counts the tokens left out because a logit on their path was too close to 0 to call. At most 256 tokens
   * are compared, fewer of expensive layers, spread evenly from the first to the last; rows after the last
   * must be untouched.
   */
  uffb_cuda_bench_check(
    bench: Handle | null,
    contender: number,
    tokens: number,
    error: Float64Array | null,
    ties: BigInt64Array | null,
  ): number;
}
