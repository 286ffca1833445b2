import {
  type Arch,
  UFFB_F32,
  UFFB_FFN_DENSE,
  UFFB_FFN_FFF,
  UFFB_GELU,
  UFFB_HEAD_MLM,
  UFFB_POOL_FIRST,
  UFFB_PRE_NORM,
  UFFB_ROWS,
  UFFB_SINUSOIDAL,
  UFFB_TANH,
} from "../../../ffi/bindings.ts";
import { convertMatrix, integerForm, isIntegers, matrixBytes, quantiseMatrix } from "../../../ffi/matrix.ts";
import { NativeModel, type Tensor } from "../../../ffi/model.ts";
import { PLAIN } from "../../../ffi/plain.ts";
import { hasRows, type Kind, kindOf } from "../../convert/kinds.ts";
import { WEIGHT_DTYPES } from "../../model/roles.ts";
import type { LayerShape } from "../measure/presets.ts";

/** UltraFastBERT's encoder around a feedforward layer: 16 layers, heads of 64, 32,768 words, 128 positions. */
export function encoderArch(shape: LayerShape, layers = 16): Arch {
  return {
    layers,
    hidden: shape.hidden,
    heads: shape.hidden % 64 === 0 ? shape.hidden / 64 : 1,
    vocab: 32_768,
    maxLength: 128,
    positionOffset: 0,
    tokenTypes: 0,
    width: shape.width,
    trees: shape.trees,
    depth: shape.depth,
    poolWidth: 0,
    labels: 0,
    normEps: 1e-12,
    normPosition: UFFB_PRE_NORM,
    positions: UFFB_SINUSOIDAL,
    feedforward: shape.trees > 0 ? UFFB_FFN_FFF : UFFB_FFN_DENSE,
    activation: UFFB_GELU,
    poolActivation: UFFB_TANH,
    pooling: UFFB_POOL_FIRST,
    ...PLAIN,
    headSize: shape.hidden % 64 === 0 ? 64 : shape.hidden,
    embedNorm: 1,
    finalNorm: 1,
    headsPresent: UFFB_HEAD_MLM,
    mlmTransform: 0,
    tied: 1,
    treeOutput: 0,
  };
}

/** Whether the engine walks the layer's trees token by token. In shallow trees it computes all nodes instead. */
export function walks(shape: LayerShape): boolean {
  if (shape.trees === 0) return false;
  using model = new NativeModel(encoderArch(shape, 1));
  return model.tensors().some(({ name, layout }) => name === "layer.0.fff.in.weight" && layout === UFFB_ROWS);
}

/** Weights repeat after this many: enough that no two rows of a layer are the same, and quickly made. */
const PERIOD = 1_048_573;

/** Bytes that a model of this shape takes in f32. */
export function modelBytes(arch: Arch): number {
  using model = new NativeModel(arch);
  return model
    .tensors()
    .reduce((sum, { rows, cols, layout }) => sum + matrixBytes(rows, cols, { dtype: UFFB_F32, layout }), 0);
}

/**
 * A model with random weights, of a size that keeps activations near 1: norms are 1, biases absent, a row of `cols` weights has variance
 * 1/cols. `dtype`: "int8" stores weights as `convert --dtype int8` does. Optional tensors
 * (biases) are those that the model `like` has, all zero.
 */
export function randomModel(arch: Arch, dtype: "f32" | "int8", like?: NativeModel): NativeModel {
  const random = new Float32Array(PERIOD);
  let state = 1;
  for (let i = 0; i < PERIOD; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    random[i] = (state / 2 ** 31) * Math.sqrt(3);
  }
  const model = new NativeModel(arch);
  const wanted = new Set(like?.tensors().flatMap(({ name, present }) => (present ? [name] : [])));
  let offset = 0;
  for (const { name, rows, cols, layout, required } of model.tensors()) {
    if (!required && !(wanted.has(name) && name.endsWith(".bias"))) continue;
    const values = new Float32Array(matrixBytes(rows, cols, { dtype: UFFB_F32, layout }) / 4);
    if (rows === 1) values.fill(required ? 1 : 0);
    else {
      const size =
        name === "embed.word" ? 1 : 1 / Math.sqrt(name.endsWith("out.weight") ? arch.hidden : cols);
      for (let i = 0; i < values.length; i++) values[i] = random[(offset + i) % PERIOD]! * size;
      offset += 7919 + values.length;
    }
    const tensor = { name, rows, cols, layout };
    const kind = kindOf(tensor, dtype === "int8" ? "I8" : "F32", arch);
    setAs(model, tensor, values, layout, kind);
    if (isIntegers(kind) && hasRows(tensor)) {
      const beside = { ...tensor, name: `${name}.rows`, layout: UFFB_ROWS };
      setAs(model, beside, values, layout, kindOf(beside, "I8", arch));
    }
  }
  model.ready();
  return model;
}

/** Gives the model a tensor as a kind, from `values`, f32 in the layout `from`. */
function setAs(
  model: NativeModel,
  { name, rows, cols, layout }: Pick<Tensor, "name" | "rows" | "cols" | "layout">,
  values: Float32Array,
  from: number,
  kind: Kind,
): void {
  const form = { dtype: UFFB_F32, layout: from };
  if (isIntegers(kind)) {
    const to = integerForm(kind, layout);
    const integers = new Uint8Array(matrixBytes(rows, cols, to));
    const scale = new Float32Array(rows);
    quantiseMatrix(rows, cols, values, form, to, integers, scale);
    model.set(name, integers, to.dtype, to.layout);
    model.set(`${name}.scale`, scale, UFFB_F32, UFFB_ROWS);
  } else if (kind === "F32" && layout === from) {
    model.set(name, values, UFFB_F32, layout);
  } else {
    const to = { dtype: WEIGHT_DTYPES[kind]!, layout };
    model.set(name, convertMatrix(rows, cols, values, form, to), to.dtype, to.layout);
  }
}
