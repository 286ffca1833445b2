/** What each matrix of a model is stored as: decided here for every file that is written, and for the models that are benchmarked. */
import { type Arch, UFFB_PANELS, UFFB_PRE_NORM, UFFB_ROWS } from "../../ffi/bindings.ts";
import type { Integers } from "../../ffi/matrix.ts";
import type { Tensor } from "../../ffi/model.ts";
import { canBeIntegers } from "../files/packed.ts";

/** How a model can be stored. I8, with I16, F16 and BF16 where 8 bits would lose answers, is for packed files. */
export type WeightDtype = "F32" | "F16" | "BF16" | "I8";

/** What one matrix is stored as. */
export type Kind = WeightDtype | Integers;

/** A tensor as the engine wants it. */
type Wanted = Pick<Tensor, "name" | "rows" | "cols" | "layout">;

/** Columns of a matrix in 8 bits: sums over more could overflow in the engine. */
const MAX_COLS_I8 = 65_536;
/** Small, and 8 bits lose much there: heads but a decoder, and what all layers read. */
const SMALL = /^(head\.(?!mlm\.decoder)|embed\.project\.)/;
/** What is added to a stream that has hardly begun, and passes through all that follows (kernels/PERFORMANCE.md). */
const FIRST_ATTENTION = /^layer\.[01]\.attn\./;
/** Rows that are read one by one: bf16 costs no answers (kernels/PERFORMANCE.md). */
const TREE = /^layer\.\d+\.fff\.(in|out)\.weight$/;

/**
 * What a matrix is stored as in a model of `dtype`. Vectors, which weigh nothing, stay f32; so do, in a model in integers, matrices with
 * NaNs or infinities (`finite` false) and what the engine takes no integers for.
 */
export function kindOf(
  { name, rows, cols, layout }: Wanted,
  dtype: WeightDtype,
  { normPosition }: Pick<Arch, "normPosition">,
  finite = true,
): Kind {
  if (rows === 1) return "F32";
  if (dtype !== "I8") return dtype;
  if (name.endsWith(".rows")) return "F16";
  if (layout === UFFB_ROWS && TREE.test(name)) return "BF16";
  if (!canBeIntegers({ name, layout }, "I8") || cols > MAX_COLS_I8 || !finite) return "F32";
  // Where each block normalises its sum, what comes first weighs no more than the rest.
  const pre = normPosition === UFFB_PRE_NORM;
  if (layout === UFFB_ROWS) return pre ? "F16" : "I8";
  return (pre && FIRST_ATTENTION.test(name)) || SMALL.test(name) ? "I16" : "I8";
}

/** Whether a matrix in integers has its rows beside it, as NAME.rows, which embeddings and the best logits are computed from. */
export function hasRows({ name, layout }: Pick<Wanted, "name" | "layout">): boolean {
  return layout === UFFB_PANELS && (name === "embed.word" || name === "head.mlm.decoder.weight");
}
