/** Opens `pytorch_model.bin` and its like without Python and without running anything: file -> pickle -> named tensors. */

import { UffbError } from "../../base/errors.ts";
import { quoted } from "../../base/printable.ts";
import { mapFile } from "../safetensors/mapped.ts";
import { byteCount, type StoredTensor } from "../safetensors/safetensors.ts";
import { readLegacyCheckpoint, readZipCheckpoint } from "./containers.ts";
import type { Value } from "./machine.ts";
import { StridedTensor } from "./tensors.ts";

/** A tensor of a checkpoint. Its `data` is a view of the mapped file where the tensor is contiguous there, and else `copied`. */
export interface PickledTensor extends StoredTensor {
  readonly identity: string;
}

/** Training scripts wrap the state dict, often beside an optimiser's: these keys say which dict is the model. */
const WRAPPERS = ["state_dict", "model_state_dict", "model", "module"];
const MAX_DEPTH = 32;
const MAX_TENSORS = 20_000;
const MAX_NAME = 256;

function readObjects(file: Uint8Array): Value {
  const start = String.fromCharCode(...file.subarray(0, 24));
  if (start.startsWith("PK\x03\x04")) return readZipCheckpoint(file);
  if (start.startsWith("\x80")) return readLegacyCheckpoint(file);
  if (start.startsWith("version https://git-lfs")) {
    throw new UffbError("is a Git LFS pointer, not the file it stands for; download it with `uffb download`");
  }
  throw new UffbError("is neither of the formats torch.save writes (a ZIP file or a pickle)");
}

/** The model's own dict: the object itself, or the one under a wrapper's key; the other keys are reported. */
function stateDict(value: Value, onSkip: (key: string) => void): Value {
  if (!(value instanceof Map) || [...value.values()].some((item) => item instanceof StridedTensor))
    return value;
  const wrapper = WRAPPERS.find((key) => value.get(key) instanceof Map);
  if (wrapper === undefined) return value;
  for (const key of value.keys()) if (typeof key === "string" && key !== wrapper) onSkip(quoted(key));
  return value.get(wrapper)!;
}

/** Walks dicts and lists and names each tensor by its path, joined with dots. Other values are not part of a model. */
function collect(root: Value): Map<string, StridedTensor> {
  const tensors = new Map<string, StridedTensor>();
  const counts = new Map<Value, number>();
  /** Gives the number of tensors found. */
  const visit = (value: Value, path: string, depth: number): number => {
    if (value instanceof StridedTensor) {
      if (path === "" || path.length > MAX_NAME || /[\x00-\x1f\x7f]/.test(path)) {
        throw new UffbError(`the tensor name ${quoted(path)} is empty, too long or has control characters`);
      }
      if (tensors.has(path)) throw new UffbError(`two tensors are called ${quoted(path)}`);
      if (tensors.size === MAX_TENSORS) throw new UffbError(`it has more than ${MAX_TENSORS} tensors`);
      tensors.set(path, value);
      return 1;
    }
    if (!(value instanceof Map) && !Array.isArray(value)) return 0;
    // Shared settings (an optimiser's) are usual; tensors below two names, or a circle, could be endless.
    if (counts.get(value) === 0) return 0;
    if (counts.has(value) || depth > MAX_DEPTH) {
      throw new UffbError(`the objects at ${quoted(path)} are nested too deeply or stand in two places`);
    }
    counts.set(value, Number.NaN);
    let count = 0;
    for (const [key, item] of value.entries()) {
      if (item === null || typeof item !== "object") continue;
      if (typeof key !== "string" && typeof key !== "number") continue;
      if (typeof key === "string" && key.length > MAX_NAME) {
        throw new UffbError(`the key ${quoted(key)} has more than ${MAX_NAME} characters`);
      }
      count += visit(item, path === "" ? String(key) : `${path}.${key}`, depth + 1);
    }
    counts.set(value, count);
    return count;
  };
  visit(root, "", 0);
  return tensors;
}

/**
 * The tensors of a PyTorch checkpoint in either format (ZIP, or the older sequence of pickles), by their names in file order. Nested
 * dicts are joined with dots; a wrapper such as {"state_dict": ...} is taken off, and `onSkip` gets the keys beside it, fit to print. The file is
 * mapped and must not change while the tensors are in use.
 *
 * @throws UffbError when the file is malformed, asks for anything beyond tensors and plain containers, or has no tensors
 */
export function openPickle(
  path: string,
  onSkip: (key: string) => void = () => {},
): Map<string, PickledTensor> {
  return parsePickle(mapFile(path), path, onSkip);
}

/** The same for a whole file's bytes; `source` is its name in messages. */
export function parsePickle(
  file: Uint8Array,
  source: string,
  onSkip: (key: string) => void = () => {},
): Map<string, PickledTensor> {
  try {
    const objects = readObjects(file);
    if (objects instanceof StridedTensor)
      throw new UffbError("holds a single tensor without a name, not a dict");
    const found = collect(stateDict(objects, onSkip));
    if (found.size === 0) throw new UffbError("holds no tensors");
    const tensors = new Map<string, PickledTensor>();
    for (const [name, tensor] of found) tensors.set(name, describe(tensor, source));
    checkOverlaps(found, tensors);
    return tensors;
  } catch (error) {
    if (error instanceof UffbError) throw new UffbError(`${source}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Times that a storage's elements may be in tensors of their own: a few views that are stored beside what they are views of. */
const MAX_COPIES = 2;
/** Bytes that are never too many. */
const FEW_BYTES = 1 << 20;

/** Thousands of tensors could lie over one another, and each would be read and written in full. */
function checkOverlaps(
  found: ReadonlyMap<string, StridedTensor>,
  tensors: ReadonlyMap<string, PickledTensor>,
): void {
  const seen = new Set<string>();
  const storages = new Set<StridedTensor["storage"]>();
  let held = 0;
  let read = 0;
  for (const [name, { storage, shape, dtype }] of found) {
    if (!storages.has(storage)) held += storage.byteLength;
    storages.add(storage);
    const { identity } = tensors.get(name)!;
    if (!seen.has(identity)) read += byteCount(dtype, shape);
    seen.add(identity);
  }
  if (read > MAX_COPIES * held + FEW_BYTES) {
    throw new UffbError(
      `its tensors lie over one another: ${read} bytes of them in ${held}; save it again after .clone() of each`,
    );
  }
}

function describe(tensor: StridedTensor, file: string): PickledTensor {
  const { dtype, storage, offset, shape, strides } = tensor;
  return {
    dtype,
    shape,
    get data() {
      return tensor.read();
    },
    file,
    copied: !tensor.contiguous,
    identity: `${file}#${storage.key}+${offset}[${shape}][${strides}]${dtype}`,
  };
}
