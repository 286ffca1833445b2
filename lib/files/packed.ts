/**
 * The packed format: one safetensors file with everything a model needs. Its tensors have the engine's names and layouts, so that f32
 * and integers are used in place: matrices in panels are [ceil(rows/16), cols, 16] or, in 8 bits, [ceil(rows/16), ceil(cols/4), 16, 4], in
 * 16 bits [ceil(rows/16), ceil(cols/2), 16, 2], with their scales in NAME.scale, and a decoder's rows once more in NAME.rows, f16
 * (kernels/uffb.h); others and vectors are as they are, and so are embeddings in 8 bits, whose scales are in NAME.scale, too.
 * config.json, the tokenizer's files and those of modules of the sentence-transformers library are U8 tensors under their own names;
 * a module's tensors are as its own file has them, with its folder's name before theirs ("2_Dense/linear.weight").
 */

import { UFFB_PANELS } from "../../ffi/bindings.ts";
import { INTEGERS, isIntegers } from "../../ffi/matrix.ts";
import type { Tensor } from "../../ffi/model.ts";
import { UffbError } from "../base/errors.ts";
import { readJson } from "../base/json.ts";
import { quoted } from "../base/printable.ts";
import type { ModelFiles } from "./folder.ts";
import type { StoredTensor, TensorFile } from "./safetensors/safetensors.ts";
import { isModuleConfig, isModuleTensor, moduleConfig, moduleFolders, SENTENCE_FILES } from "./sentence.ts";
import { TOKENIZER_FILES } from "./tokenizer.ts";

export const PACKED_METADATA = { format: "uffb", version: "1", layout: "panels16" } as const;

/** Text files that a packed file carries, where the model has them. */
export const MODEL_FILES = ["config.json", ...TOKENIZER_FILES, ...SENTENCE_FILES];

/**
 * The texts that a packed file carries, by name. Each must be what it is called, JSON: what cannot be parsed may be anything, and what is packed
 * is published.
 *
 * @throws UffbError naming the file
 */
export function* modelTexts(file: ModelFiles): Generator<[name: string, text: string]> {
  for (const name of [...MODEL_FILES, ...moduleFolders(file).map(moduleConfig)]) {
    const found = file(name);
    if (found === undefined) continue;
    readJson(found.text, found.source);
    yield [name, found.text];
  }
}

export interface PackedFile {
  tensors: Map<string, StoredTensor>;
  /** Of modules after the encoder, by FOLDER/NAME. */
  moduleTensors: Map<string, StoredTensor>;
  files: Map<string, Uint8Array>;
  /** Tensors with NaNs or infinities, found when the file was written: looking now would read every page of the file. */
  notFinite: string[];
}

export function isPacked({ metadata }: TensorFile): boolean {
  return metadata.format === PACKED_METADATA.format;
}

/**
 * Takes a packed file apart.
 *
 * @throws UffbError when it is of another version or layout, or has no config.json
 */
export function packedFiles({ metadata, tensors: all }: TensorFile, source: string): PackedFile {
  for (const [key, value] of Object.entries(PACKED_METADATA)) {
    if (metadata[key] === value) continue;
    const found = quoted(metadata[key] ?? "missing");
    throw new UffbError(
      `${source}: its ${key} is ${found}, and this uffb reads ${value}; run uffb convert again`,
    );
  }
  const tensors = new Map<string, StoredTensor>();
  const moduleTensors = new Map<string, StoredTensor>();
  const files = new Map<string, Uint8Array>();
  for (const [name, tensor] of all) {
    if (/^pad\.\d+$/.test(name)) continue;
    if (isModuleTensor(name)) moduleTensors.set(name, tensor);
    else if (!MODEL_FILES.includes(name) && !isModuleConfig(name)) tensors.set(name, tensor);
    else if (tensor.dtype === "U8") files.set(name, tensor.data);
    else throw new UffbError(`${source}: ${name} is ${tensor.dtype} instead of U8; run uffb convert again`);
  }
  return { tensors, moduleTensors, files, notFinite: knownNames(metadata.not_finite ?? "", tensors) };
}

/** Those names of a list that are tensors, each once. A list longer than all names together is none of ours: it is not taken apart. */
function knownNames(list: string, tensors: ReadonlyMap<string, unknown>): string[] {
  let longest = 0;
  for (const name of tensors.keys()) longest += name.length + 1;
  const names = list.length > longest ? [] : list.split(" ");
  return [...new Set(names)].filter((name) => tensors.has(name));
}

/** Embeddings: their rows are looked up one by one, and can be in 8 bits. */
const LOOKED_UP = /^embed\.(word|position)$/;

/** Whether the engine takes a tensor as integers of `dtype`. */
export function canBeIntegers({ name, layout }: Pick<Tensor, "name" | "layout">, dtype: string): boolean {
  return isIntegers(dtype) && (layout === UFFB_PANELS || (dtype === "I8" && LOOKED_UP.test(name)));
}

/** A tensor's shape and layout in a packed file, with elements of `dtype`. */
export function packedForm(
  { rows, cols, layout }: Tensor,
  dtype: string,
): { shape: number[]; layout: number } {
  const panels = Math.ceil(rows / 16);
  if (layout !== UFFB_PANELS) return { shape: rows === 1 ? [cols] : [rows, cols], layout };
  if (!isIntegers(dtype)) return { shape: [panels, cols, 16], layout };
  const { group, layout: integers } = INTEGERS[dtype];
  return { shape: [panels, Math.ceil(cols / group), 16, group], layout: integers };
}
