import { UFFB_F32 } from "../../ffi/bindings.ts";
import { convertMatrix, matrixBytes } from "../../ffi/matrix.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { loadConfig } from "../config.ts";
import { UffbError } from "../errors.ts";
import { allFinite } from "../finite.ts";
import { type Binding, bindTensors, WEIGHT_DTYPES } from "../roles.ts";
import { type TensorSource, writeSafetensors } from "../safetensors/write.ts";
import { printable } from "../safetensors.ts";
import { MODEL_FILES, PACKED_METADATA, packedShape } from "./format.ts";

export type PackedDtype = "F32" | "F16" | "BF16";

export interface Packed {
  /** Of the whole file. */
  bytes: number;
  tensors: number;
  /** The checkpoint's names of tensors with NaNs or infinities. */
  notFinite: string[];
}

/**
 * Writes a checkpoint as a packed file at `path`, its matrices as `dtype` (vectors, which weigh nothing, stay f32). Memory beyond the
 * mapped source is that of the largest tensor.
 * Errors: UffbError when the checkpoint does not fit its config, or a finite weight is out of the dtype's range.
 */
export function writePacked(checkpoint: Checkpoint, path: string, dtype: PackedDtype): Packed {
  const bound = bindTensors(loadConfig(checkpoint), checkpoint);
  bound.native[Symbol.dispose]();
  const { bindings } = bound;
  const bad = bindings.filter(({ tensor }) => !allFinite(tensor));
  const notFinite = bad.map(({ name }) => name);
  const metadata: Record<string, string> = { ...PACKED_METADATA };
  if (bad.length > 0) metadata.not_finite = bad.map(({ wanted }) => wanted.name).join(" ");

  const scratch = new Scratch();
  const tensors: TensorSource[] = bindings.map((binding) => {
    const stored = binding.wanted.rows === 1 ? "F32" : dtype;
    return {
      name: binding.wanted.name,
      dtype: stored,
      shape: packedShape(binding.wanted),
      data: () => pack(binding, stored, scratch, notFinite),
    };
  });
  for (const name of MODEL_FILES) {
    const file = checkpoint.file(name);
    if (file === undefined) continue;
    const data = new TextEncoder().encode(file.text);
    tensors.push({ name, dtype: "U8", shape: [data.length], data: () => data });
  }
  const bytes = writeSafetensors(path, metadata, tensors, { aligned: true });
  return { bytes, tensors: bindings.length, notFinite };
}

/** Memory for one tensor after another: garbage is not collected fast enough for tensors of 100 MB. */
class Scratch {
  #memory = new Uint8Array(0);

  take(bytes: number): Uint8Array {
    if (this.#memory.length < bytes) this.#memory = new Uint8Array(bytes);
    return this.#memory.subarray(0, bytes);
  }
}

function pack(
  binding: Binding,
  stored: PackedDtype,
  scratch: Scratch,
  notFinite: readonly string[],
): Uint8Array {
  const { wanted, tensor, name } = binding;
  const { rows, cols, layout } = wanted;
  const to = { dtype: WEIGHT_DTYPES[stored]!, layout };
  const target = scratch.take(matrixBytes(rows, cols, to));
  convertMatrix(rows, cols, tensor.data, { dtype: binding.dtype, layout: binding.layout }, to, target);
  const narrowed = tensor.dtype !== stored && to.dtype !== UFFB_F32;
  if (
    (narrowed || tensor.dtype === "F64") &&
    !notFinite.includes(name) &&
    !allFinite({ dtype: stored, data: target })
  ) {
    throw new UffbError(
      `${tensor.file}: tensor ${printable(name)} has weights beyond the range of ${stored.toLowerCase()}; use another --dtype`,
    );
  }
  return target;
}
