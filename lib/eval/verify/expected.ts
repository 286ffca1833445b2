import { UFFB_FFN_FFF } from "../../../ffi/bindings.ts";
import { UffbError } from "../../base/errors.ts";
import { openSafetensors, type StoredTensor } from "../../files/safetensors/safetensors.ts";
import type { Model } from "../../model/model.ts";

/** A stored stage: a tensor of numbers, and what one of its rows belongs to. */
export interface Stage {
  name: string;
  /** A row belongs to a token of the padded [batch, seq] input, or to a sequence. */
  per: "token" | "sequence";
  /** Numbers in a row. */
  width: number;
  /** [width] numbers of row r. Integers are exact to 2^53. */
  row(r: number): Float64Array;
}

/** A sequence of the padded input: its real tokens are rows `first` to `first + ids.length - 1`. */
export interface Sequence {
  index: number;
  first: number;
  ids: Int32Array;
  types: Int32Array | undefined;
}

/** A reference file, checked against the model that is to reproduce it. */
export interface Expected {
  /** Checked, and read again each time they are gone through: there may be millions. */
  sequences: Iterable<Sequence>;
  count: number;
  stages: Map<string, Stage>;
  /** Tensors that are not a stage of a forward pass: labels, gradients and so on. */
  ignored: string[];
}

/** How to read an element of each dtype. */
const READERS: Record<string, { bytes: number; read(view: DataView, offset: number): number }> = {
  F64: { bytes: 8, read: (view, offset) => view.getFloat64(offset, true) },
  F32: { bytes: 4, read: (view, offset) => view.getFloat32(offset, true) },
  I64: { bytes: 8, read: (view, offset) => Number(view.getBigInt64(offset, true)) },
  I32: { bytes: 4, read: (view, offset) => view.getInt32(offset, true) },
  U8: { bytes: 1, read: (view, offset) => view.getUint8(offset) },
  BOOL: { bytes: 1, read: (view, offset) => view.getUint8(offset) },
};

/**
 * Reads the inputs and stages of a reference file: `input_ids` [batch, seq], `attention_mask` (all ones when absent) and `token_type_ids`;
 * `embedding`, `layer.L`, `final` [batch, seq, hidden]; `path.L` [batch, seq, trees, depth+1]; `logits` [batch, seq, vocab] or
 * [batch, labels]; `sentence` [batch, hidden], each pooled and scaled to length 1.
 * @throws UffbError naming the file and the tensor that does not fit the model
 */
export function openExpected(path: string, model: Fits): Expected {
  const tensors = openSafetensors(path);
  const { arch, task } = model.config;
  const input = tensors.get("input_ids");
  if (!input)
    throw new UffbError(`${path}: no tensor input_ids, so there is nothing to run; is it a reference file?`);
  const [batch, seq] = input.shape;
  if (input.shape.length !== 2 || !batch || !seq)
    throw misfit(path, "input_ids", input.shape, "[batch, seq]");

  const token = { per: "token", lead: [batch, seq] } as const;
  const sequence = { per: "sequence", lead: [batch] } as const;
  const known = new Map<string, { per: Stage["per"]; lead: readonly number[]; tail: number[] }>([
    ["embedding", { ...token, tail: [arch.hidden] }],
    ["final", { ...token, tail: [arch.hidden] }],
    ["sentence", { ...sequence, tail: [arch.hidden] }],
  ]);
  if (task === "mlm") known.set("logits", { ...token, tail: [arch.vocab] });
  else if (task === "tokens") known.set("logits", { ...token, tail: [arch.labels] });
  else if (task !== "embedding" && task !== "other")
    known.set("logits", { ...sequence, tail: [arch.labels] });
  for (let layer = 0; layer < arch.layers; layer++) {
    known.set(`layer.${layer}`, { ...token, tail: [arch.hidden] });
    if (arch.feedforward === UFFB_FFN_FFF)
      known.set(`path.${layer}`, { ...token, tail: [arch.trees, arch.depth + 1] });
  }

  const stages = new Map<string, Stage>();
  const ignored: string[] = [];
  for (const [name, tensor] of tensors) {
    if (INPUTS.has(name)) continue;
    const stage = known.get(name);
    if (stage) {
      const row = reader(path, name, tensor, stage.lead, stage.tail);
      stages.set(name, { name, per: stage.per, ...row });
    } else if (/^(layer|path)\.\d+$/.test(name)) {
      throw new UffbError(
        `${path}: tensor ${name} is not a stage of ${model.source}, which has ${arch.layers} layers; is it another model's?`,
      );
    } else ignored.push(name);
  }
  const sequences = { [Symbol.iterator]: () => readSequences(path, tensors, batch, seq, model) };
  let count = 0;
  for (const _ of sequences) count++; // finds what is wrong before anything is run
  return { sequences, count, stages, ignored };
}

const INPUTS = new Set(["input_ids", "attention_mask", "token_type_ids"]);

/** What the inputs of a file have to fit. */
export type Fits = Pick<Model, "config" | "source">;

/** The real tokens of the inputs [batch, seq], sequence by sequence. @throws UffbError naming the row that does not fit the model */
export function* readSequences(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  batch: number,
  seq: number,
  model: Fits,
): Generator<Sequence> {
  const rows = (name: string) => {
    const tensor = tensors.get(name);
    return tensor && reader(path, name, tensor, [batch], [seq]);
  };
  const { maxLength, vocab, tokenTypes } = model.config.arch;
  const ids = rows("input_ids")!;
  const mask = rows("attention_mask");
  const types = tokenTypes > 0 ? rows("token_type_ids") : undefined;
  for (let index = 0; index < batch; index++) {
    const kept = mask?.row(index);
    const length = kept ? kept.findLastIndex((value) => value !== 0) + 1 : seq;
    if (kept?.some((value, at) => value !== (at < length ? 1 : 0))) {
      throw new UffbError(
        `${path}: attention_mask row ${index} is not ones and then zeros; pad on the right`,
      );
    }
    if (length === 0) continue;
    if (length > maxLength) {
      throw new UffbError(
        `${path}: input_ids row ${index} has ${length} tokens, and the model takes ${maxLength}`,
      );
    }
    yield {
      index,
      first: index * seq,
      ids: below(path, "input_ids", index, ids.row(index).subarray(0, length), vocab),
      types: types && below(path, "token_type_ids", index, types.row(index).subarray(0, length), tokenTypes),
    };
  }
}

function below(path: string, name: string, row: number, values: Float64Array, limit: number): Int32Array {
  const bad = values.find((value) => !Number.isInteger(value) || value < 0 || value >= limit);
  if (bad !== undefined)
    throw new UffbError(`${path}: ${name} row ${row} holds ${bad}, which is not from 0 to ${limit - 1}`);
  return Int32Array.from(values);
}

/** Rows of a tensor, which must have shape [...lead, ...tail]; `tail` is the shape of a row. */
export function reader(
  path: string,
  name: string,
  tensor: StoredTensor,
  lead: readonly number[],
  tail: readonly number[],
) {
  const shape = [...lead, ...tail];
  if (tensor.shape.length !== shape.length || shape.some((size, i) => tensor.shape[i] !== size)) {
    throw misfit(path, name, tensor.shape, `[${shape.join(", ")}]`);
  }
  const dtype = READERS[tensor.dtype];
  if (!dtype)
    throw new UffbError(`${path}: tensor ${name} is ${tensor.dtype}; store it as F32, F64, I64 or I32`);
  const width = tail.reduce((product, size) => product * size, 1);
  const view = new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  const row = (r: number): Float64Array => {
    const values = new Float64Array(width);
    for (let i = 0; i < width; i++) values[i] = dtype.read(view, (r * width + i) * dtype.bytes);
    return values;
  };
  return { width, row };
}

function misfit(path: string, name: string, shape: readonly number[], wanted: string): UffbError {
  return new UffbError(
    `${path}: tensor ${name} has shape [${shape.join(", ")}], and ${wanted} is needed; is it another model's?`,
  );
}
