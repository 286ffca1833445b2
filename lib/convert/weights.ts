import { type Arch, UFFB_F32, UFFB_ROWS } from "../../ffi/bindings.ts";
import { type Form, INTEGERS, type Integers, integerForm, isIntegers } from "../../ffi/matrix.ts";
import { UffbError } from "../base/errors.ts";
import { quoted } from "../base/printable.ts";
import { allFinite } from "../files/finite.ts";
import type { TensorSource } from "../files/safetensors/write.ts";
import { type Binding, WEIGHT_DTYPES } from "../model/roles.ts";
import { hasRows, type Kind, kindOf, type WeightDtype } from "./kinds.ts";
import { type Matrix, quantise, rewrite, type Scratch } from "./rewrite.ts";

/** A weight of the model on its way into a file. */
export interface Weight {
  binding: Binding;
  finite: boolean;
  /** What it is stored as. */
  dtype: Kind;
}

/**
 * Decides how each weight is stored.
 *
 * @throws UffbError when integers are to become other weights
 */
export function planWeights(
  bindings: readonly Binding[],
  dtype: WeightDtype,
  arch: Readonly<Arch>,
): Weight[] {
  return bindings.map((binding) => {
    const { wanted, tensor, name } = binding;
    const finite = allFinite(tensor);
    collect(binding);
    if (isInteger(tensor) && dtype !== "I8") {
      throw new UffbError(
        `${tensor.file}: tensor ${quoted(name)} is stored as integers, and the original numbers cannot be recovered from those; convert the original model`,
      );
    }
    // Integers stay what they are: to quantise them again would lose more.
    const kept = isInteger(tensor) && wanted.rows > 1;
    return { binding, finite, dtype: kept ? tensor.dtype : kindOf(wanted, dtype, arch, finite) };
  });
}

function isInteger<T extends { dtype: string }>(tensor: T): tensor is T & { dtype: Integers } {
  return isIntegers(tensor.dtype);
}

/**
 * A weight's bytes in `layout`, not for a weight that becomes integers.
 *
 * @throws UffbError when a finite weight is out of the dtype's range
 */
export function* weightData(weight: Weight, layout: number, scratch: Scratch): Generator<Uint8Array> {
  const { binding, finite, dtype } = weight;
  const { tensor, name } = binding;
  const to: Form = { dtype: INTEGERS[dtype as Integers]?.dtype ?? WEIGHT_DTYPES[dtype]!, layout };
  const narrowed = tensor.dtype !== dtype && (to.dtype !== UFFB_F32 || tensor.dtype === "F64");
  for (const piece of rewrite(matrixOf(binding), to, scratch)) {
    if (narrowed && finite && !allFinite({ dtype, data: piece })) {
      throw new UffbError(
        `${tensor.file}: tensor ${quoted(name)} has weights beyond the range of ${dtype.toLowerCase()}; use another --dtype`,
      );
    }
    yield piece;
  }
  collect(binding);
}

/**
 * A weight that becomes integers, as the tensors NAME, NAME.scale and maybe NAME.rows; undefined for others.
 *
 * @throws as weightData does
 */
export function quantised(weight: Weight, shape: number[], scratch: Scratch): TensorSource[] | undefined {
  const { binding } = weight;
  if (!isInteger(weight) || isInteger(binding.tensor)) return undefined;
  const { dtype } = weight;
  const { wanted } = binding;
  const scale = new Float32Array(wanted.rows);
  const tensors: TensorSource[] = [
    {
      name: wanted.name,
      dtype,
      shape,
      *data() {
        yield* quantise(matrixOf(binding), integerForm(dtype, wanted.layout), scale, scratch);
        collect(binding);
      },
    },
    {
      name: `${wanted.name}.scale`,
      dtype: "F32",
      shape: [wanted.rows],
      data: () => [new Uint8Array(scale.buffer)],
    },
  ];
  if (hasRows(wanted)) {
    tensors.push({
      name: `${wanted.name}.rows`,
      dtype: "F16",
      shape: [wanted.rows, wanted.cols],
      data: () => weightData({ ...weight, dtype: "F16" }, UFFB_ROWS, scratch),
    });
  }
  return tensors;
}

function matrixOf({ wanted: { rows, cols }, tensor, dtype, layout }: Binding): Matrix {
  return { rows, cols, form: { dtype, layout }, data: tensor.data };
}

/** Frees the copy of a tensor at once: garbage of this size would grow to a multiple of it. */
function collect({ tensor }: Binding): void {
  if (tensor.copied) Bun.gc(true);
}
