import { type Arch, UFFB_F32, UFFB_PANELS, UFFB_PRE_NORM, UFFB_ROWS } from "../../ffi/bindings.ts";
import { type Form, INTEGERS, type Integers } from "../../ffi/matrix.ts";
import { UffbError } from "../base/errors.ts";
import { quoted } from "../base/printable.ts";
import { allFinite } from "../files/finite.ts";
import type { TensorSource } from "../files/safetensors/write.ts";
import { type Binding, WEIGHT_DTYPES } from "../model/roles.ts";
import { type Matrix, quantise, rewrite, type Scratch } from "./rewrite.ts";

/** How matrices can be stored. I8, which some of them are I16 in, is for packed files. */
export type WeightDtype = "F32" | "F16" | "BF16" | "I8";

/** Columns of a matrix in 8 bits: sums over more could overflow in the engine. */
const MAX_COLS_I8 = 65_536;

/** A weight of the model on its way into a file. */
export interface Weight {
  binding: Binding;
  finite: boolean;
  /** What it is stored as. */
  dtype: WeightDtype | "I16";
}

/** Small, and 8 bits lose much there: heads but a decoder. */
const SMALL_HEADS = /^head\.(?!mlm\.decoder)/;
/** What is added to a stream that has hardly begun, and passes through all that follows (kernels/PERFORMANCE.md). */
const FIRST_ATTENTION = /^layer\.[01]\.attn\./;

const TREE = /^layer\.\d+\.fff\.(in|out)\.weight$/;

/** How a matrix by this name is stored in a model in 8 bits. Where each block normalises its sum, the first ones are as good as others. */
export function integersFor(name: string, { normPosition }: Pick<Arch, "normPosition">): Integers {
  const first = normPosition === UFFB_PRE_NORM && FIRST_ATTENTION.test(name);
  return first || SMALL_HEADS.test(name) ? "I16" : "I8";
}

/** Whether a matrix in integers has its rows beside it in f16, which embeddings and the best logits are computed from. */
export function hasRows({ name, layout }: Pick<Binding["wanted"], "name" | "layout">): boolean {
  return layout === UFFB_PANELS && (name === "embed.word" || name === "head.mlm.decoder.weight");
}

/** Whether a matrix holds the rows of trees, each read on its own: bf16 in a model in integers, which costs no answers (kernels/PERFORMANCE.md). */
export function isTree({ name, layout }: Pick<Binding["wanted"], "name" | "layout">): boolean {
  return layout === UFFB_ROWS && TREE.test(name);
}

/**
 * Decides how each weight is stored. Vectors, which weigh nothing, stay f32; so do in a model in integers embeddings that are no decoder.
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
    return { binding, finite, dtype: wanted.rows === 1 ? "F32" : matrixDtype(binding, finite, dtype, arch) };
  });
}

function matrixDtype(
  { wanted, tensor }: Binding,
  finite: boolean,
  dtype: WeightDtype,
  arch: Readonly<Arch>,
): Weight["dtype"] {
  if (dtype !== "I8") return dtype;
  if (isInteger(tensor)) return tensor.dtype;
  if (wanted.name.endsWith(".rows")) return "F16";
  if (isTree(wanted)) return "BF16";
  const fits = wanted.layout === UFFB_PANELS && wanted.cols <= MAX_COLS_I8 && finite;
  return fits ? integersFor(wanted.name, arch) : "F32";
}

function isInteger<T extends { dtype: string }>(tensor: T): tensor is T & { dtype: Integers } {
  return tensor.dtype in INTEGERS;
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
        yield* quantise(matrixOf(binding), dtype, scale, scratch);
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
