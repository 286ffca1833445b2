import { FILLS, type Fill } from "./bench.ts";
import type { Handle } from "./bindings.ts";
import { CUDA_DTYPES, type CudaDtype } from "./cuda.ts";
import type { CudaBenchShape, CudaContender } from "./cuda-bindings.ts";
import { checkedCuda, cuda } from "./cuda-library.ts";
import type { NativeModel } from "./model.ts";
import { Resource } from "./resource.ts";
import { InvalidError } from "./status.ts";

/** Ways to compute a layer on a device; `index` names one to CudaBench. */
export interface CudaContenderInfo {
  index: number;
  name: string;
  /** For layers of trees; else for dense ones. */
  fff: boolean;
  /** Needs cuBLAS. */
  library: boolean;
  /** Of f32: on tensor cores, which keep 10 bits of its mantissa. */
  tensor: boolean;
  dtypes: CudaDtype[];
}

export function cudaContenders(): CudaContenderInfo[] {
  const names = Object.keys(CUDA_DTYPES) as CudaDtype[];
  return Array.from({ length: cuda().uffb_cuda_contender_count() }, (_, index) => {
    const info: Partial<CudaContender> = {};
    checkedCuda((library) => library.uffb_cuda_contender_info(index, info));
    const { name, fff, library, tensor, dtypes } = info as CudaContender;
    return {
      index,
      name,
      fff: fff !== 0,
      library: library !== 0,
      tensor: tensor !== 0,
      dtypes: names.filter((dtype) => (dtypes & (1 << CUDA_DTYPES[dtype])) !== 0),
    };
  });
}

/** A layer, its inputs and its weights as a bench holds them; see uffb_cuda.h. */
export type DeviceShape = Readonly<
  Omit<CudaBenchShape, "dtype" | "cold"> & { dtype: CudaDtype; cold: boolean }
>;

const native = (shape: DeviceShape): CudaBenchShape => ({
  ...shape,
  dtype: CUDA_DTYPES[shape.dtype],
  cold: shape.cold ? 1 : 0,
});

/**
 * Bytes of device memory that a bench of this shape needs at most.
 *
 * @throws InvalidError naming the impossible field
 */
export function cudaBenchBytes(shape: DeviceShape): number {
  const bytes = cuda().uffb_cuda_bench_bytes(native(shape));
  if (bytes === 0) throw new InvalidError(cuda().uffb_cuda_error());
  return bytes;
}

/** One feedforward layer on a device, with a batch of inputs. */
export class CudaBench extends Resource {
  /** @throws InvalidError naming the impossible field; UnsupportedError; NoMemoryError */
  constructor(readonly shape: DeviceShape) {
    const out: [Handle | null] = [null];
    checkedCuda((library) => library.uffb_cuda_bench_new(native(shape), out));
    const { uffb_cuda_bench_free: free } = cuda();
    super(out[0], (handle) => free(handle));
  }

  /** The numbers that NativeBench.fill gives, rounded to the dtype. */
  fill(fill: Fill, seed: number): void {
    const { handle } = this;
    checkedCuda((library) => library.uffb_cuda_bench_fill(handle, FILLS[fill], seed));
  }

  /** The weights of a model's FFF layer, and inputs [tokens, hidden] repeated to fill the batch. */
  fillFrom(model: NativeModel, layer: number, input: Float32Array): void {
    const { handle } = this;
    const tokens = input.length / this.shape.hidden;
    if (!Number.isInteger(tokens)) throw new InvalidError("the input is not [tokens, hidden]");
    checkedCuda((library) => library.uffb_cuda_bench_fill_from(handle, model.handle, layer, tokens, input));
  }

  /** Seconds of the mean of `calls` calls, by the device's clock. Each call has the next inputs and, in a cold bench, weights that are not in L2. */
  run(contender: number, tokens: number, calls: number): number {
    const { handle } = this;
    const seconds = new Float64Array(1);
    checkedCuda((library) => library.uffb_cuda_bench_run(handle, contender, tokens, calls, seconds));
    return seconds[0]!;
  }

  /** Error of one call, relative to the largest value of a double-precision evaluation; tokens too close to call are counted. */
  check(contender: number, tokens: number): { error: number; ties: number } {
    const { handle } = this;
    const error = new Float64Array(1);
    const ties = new BigInt64Array(1);
    checkedCuda((library) => library.uffb_cuda_bench_check(handle, contender, tokens, error, ties));
    return { error: error[0]!, ties: Number(ties[0]) };
  }
}
