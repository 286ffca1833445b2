import { UFFB_F32, UFFB_I8, UFFB_PANELS } from "../../ffi/bindings.ts";
import { UffbError } from "../errors.ts";
import { allFinite } from "../finite.ts";
import { type Binding, WEIGHT_DTYPES } from "../roles.ts";
import type { TensorSource } from "../safetensors/write.ts";
import { printable } from "../safetensors.ts";
import { type Matrix, quantise, rewrite, type Scratch } from "./rewrite.ts";

/** How matrices can be stored. I8 is for packed files. */
export type WeightDtype = "F32" | "F16" | "BF16" | "I8";

/** Columns of a matrix in 8 bits: sums over more could overflow in the engine. */
const MAX_COLS_I8 = 65_536;

/** A weight of the model on its way into a file. */
export interface Weight {
  binding: Binding;
  finite: boolean;
  /** What it is stored as. */
  dtype: WeightDtype;
}

/**
 * Decides how each weight is stored. Vectors, which weigh nothing, stay f32; so does in 8 bits what the engine does not multiply as a whole:
 * the rows of a tree, which decide the way.
 * Errors: UffbError when 8-bit weights are to become others.
 */
export function planWeights(bindings: readonly Binding[], dtype: WeightDtype): Weight[] {
  return bindings.map((binding) => {
    const { wanted, tensor, name } = binding;
    const finite = allFinite(tensor);
    collect(binding);
    if (binding.dtype === UFFB_I8 && dtype !== "I8") {
      throw new UffbError(
        `${tensor.file}: tensor ${printable(name)} is in 8 bits, which are no way back; convert the original model`,
      );
    }
    const fits = wanted.layout === UFFB_PANELS && wanted.cols <= MAX_COLS_I8 && finite;
    const matrix = dtype === "I8" && !fits ? "F32" : dtype;
    return { binding, finite, dtype: wanted.rows === 1 ? "F32" : matrix };
  });
}

/**
 * A weight's bytes in `layout`, not for a weight that becomes 8-bit.
 * Errors: UffbError when a finite weight is out of the dtype's range.
 */
export function* weightData(weight: Weight, layout: number, scratch: Scratch): Generator<Uint8Array> {
  const { binding, finite, dtype } = weight;
  const { tensor, name } = binding;
  const to = { dtype: dtype === "I8" ? UFFB_I8 : WEIGHT_DTYPES[dtype]!, layout };
  const narrowed = tensor.dtype !== dtype && (to.dtype !== UFFB_F32 || tensor.dtype === "F64");
  for (const piece of rewrite(matrixOf(binding), to, scratch)) {
    if (narrowed && finite && !allFinite({ dtype, data: piece })) {
      throw new UffbError(
        `${tensor.file}: tensor ${printable(name)} has weights beyond the range of ${dtype.toLowerCase()}; use another --dtype`,
      );
    }
    yield piece;
  }
  collect(binding);
}

/** A weight in 8 bits, as the tensors NAME and NAME.scale. */
export function quantised({ binding }: Weight, shape: number[], scratch: Scratch): TensorSource[] {
  const { wanted } = binding;
  const scale = new Float32Array(wanted.rows);
  return [
    {
      name: wanted.name,
      dtype: "I8",
      shape,
      *data() {
        yield* quantise(matrixOf(binding), scale, scratch);
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
}

function matrixOf({ wanted: { rows, cols }, tensor, dtype, layout }: Binding): Matrix {
  return { rows, cols, form: { dtype, layout }, data: tensor.data };
}

/** Frees the copy of a tensor at once: garbage of this size would grow to a multiple of it. */
function collect({ tensor }: Binding): void {
  if (tensor.copied) Bun.gc(true);
}
