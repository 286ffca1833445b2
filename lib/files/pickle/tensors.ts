/**
 * What a checkpoint's pickle may mention, and what it means: element types, storages, and the functions of `torch._utils` that put
 * a tensor over a storage. These tables are the whole allow-list; nothing outside them is looked up anywhere.
 */

import { UffbError } from "../../base/errors.ts";
import { quoted } from "../../base/printable.ts";
import { DTYPE_BYTES } from "../safetensors/safetensors.ts";
import type { Host, Value } from "./machine.ts";

/** PyTorch's name of an element type: the safetensors one, and its storage class (newer types have none of their own). */
const TYPES: [name: string, dtype: string, storage?: string][] = [
  ["float64", "F64", "DoubleStorage"],
  ["float32", "F32", "FloatStorage"],
  ["float16", "F16", "HalfStorage"],
  ["bfloat16", "BF16", "BFloat16Storage"],
  ["int64", "I64", "LongStorage"],
  ["int32", "I32", "IntStorage"],
  ["int16", "I16", "ShortStorage"],
  ["int8", "I8", "CharStorage"],
  ["uint8", "U8", "ByteStorage"],
  ["bool", "BOOL", "BoolStorage"],
  ["uint64", "U64"],
  ["uint32", "U32"],
  ["uint16", "U16"],
  ["float8_e4m3fn", "F8_E4M3"],
  ["float8_e5m2", "F8_E5M2"],
];

/** An element type as a value in a pickle. */
class ElementType {
  /** Bytes of an element. */
  readonly size: number;
  constructor(readonly dtype: string) {
    this.size = DTYPE_BYTES[dtype]!;
  }
}

/** A class of storages; one without an element type counts bytes. */
class StorageClass {
  constructor(readonly element: ElementType | undefined) {}
}

/** A function of the allow-list: checks its arguments and gives what PyTorch's function of that name would. */
class Callable {
  constructor(readonly call: (args: Value[]) => Value) {}
}

/** A run of bytes in a file, which are known once the container has been read. */
export class Storage {
  bytes: Uint8Array | undefined;
  constructor(
    readonly key: string,
    readonly type: StorageClass,
    /** Number of elements. */
    readonly length: number,
  ) {}

  get byteLength(): number {
    return this.length * (this.type.element?.size ?? 1);
  }
}

/** A tensor in a checkpoint: a strided view of a storage. Offset, shape and strides count elements. */
export class StridedTensor {
  constructor(
    readonly element: ElementType,
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}

  get dtype(): string {
    return this.element.dtype;
  }

  get contiguous(): boolean {
    let expected = 1;
    for (let i = this.shape.length - 1; i >= 0; i--) {
      if (this.shape[i] !== 1 && this.strides[i] !== expected) return elements(this.shape) === 0;
      expected *= this.shape[i]!;
    }
    return true;
  }

  /** The tensor's bytes in row-major order: a view of the file when it is contiguous, else a copy made by each call. */
  read(): Uint8Array {
    const { size } = this.element;
    const bytes = this.storage.bytes!;
    const total = elements(this.shape) * size;
    if (this.contiguous) return bytes.subarray(this.offset * size, this.offset * size + total);
    return gather(bytes, this.offset, this.shape, this.strides, size);
  }
}

/** Number of elements of a shape. */
function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Copies a strided tensor of at least one element and one dimension into row-major order. `size`: bytes per element. */
function gather(
  source: Uint8Array,
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
  size: number,
): Uint8Array {
  const target = new Uint8Array(elements(shape) * size);
  const last = shape.length - 1;
  const row = shape[last]! * size;
  const step = strides[last]! * size;
  const index = shape.map(() => 0);
  let from = offset * size;
  for (let to = 0; to < target.length; to += row) {
    if (step === size) target.set(source.subarray(from, from + row), to);
    else {
      for (let i = 0, at = from; i < row; i += size, at += step) {
        for (let b = 0; b < size; b++) target[to + i + b] = source[at + b]!;
      }
    }
    for (let d = last - 1; d >= 0; d--) {
      from += strides[d]! * size;
      if (++index[d]! < shape[d]!) break;
      from -= shape[d]! * strides[d]! * size;
      index[d] = 0;
    }
  }
  return target;
}

const MAX_DIMENSIONS = 16;

function sizes(value: Value | undefined, what: string): number[] {
  const isSize = (n: Value) => typeof n === "number" && Number.isSafeInteger(n) && n >= 0;
  if (!Array.isArray(value) || value.length > MAX_DIMENSIONS || !value.every(isSize)) {
    throw new UffbError(`a tensor's ${what} is not a list of at most ${MAX_DIMENSIONS} sizes`);
  }
  return [...value] as number[];
}

/**
 * torch._utils._rebuild_tensor(storage, offset, size, stride); _v2 has three more arguments, which say nothing about the data, and _v3
 * after these the element type.
 */
function rebuildTensor(args: Value[]): StridedTensor {
  const [storage, offset] = args;
  if (!(storage instanceof Storage))
    throw new UffbError("a tensor is built over something that is not a storage");
  const element = storage.type.element ?? args[6];
  if (!(element instanceof ElementType)) throw new UffbError("a tensor has no element type");
  const shape = sizes(args[2], "shape");
  const strides = sizes(args[3], "stride");
  if (typeof offset !== "number" || !Number.isSafeInteger(offset) || offset < 0) {
    throw new UffbError("a tensor's offset is not a size");
  }
  const where = `a tensor of shape [${shape}] and stride [${strides}] at offset ${offset}`;
  if (shape.length !== strides.length)
    throw new UffbError(`${where} has strides for another number of dimensions`);
  if (!Number.isSafeInteger(elements(shape.filter((n) => n > 0))))
    throw new UffbError(`${where} is too large`);
  if (shape.includes(0)) return new StridedTensor(element, storage, 0, shape, strides);
  const available = Math.floor(storage.byteLength / element.size);
  const last = shape.reduce((sum, n, i) => sum + (n - 1) * strides[i]!, offset);
  if (last >= available) {
    throw new UffbError(`${where} leaves its storage ${quoted(storage.key)} of ${available} elements`);
  }
  // Bounds what gathering can allocate: a few elements can be repeated without end by a stride of 0.
  if (elements(shape) > available) {
    throw new UffbError(`${where} repeats elements of its storage; save it again after .contiguous()`);
  }
  return new StridedTensor(element, storage, offset, shape, strides);
}

/** collections.OrderedDict(), or, as Python 2 wrote it, of a list of pairs. */
function orderedDict([pairs]: Value[]): Map<Value, Value> {
  const map = new Map<Value, Value>();
  if (pairs === undefined) return map;
  if (!Array.isArray(pairs)) throw new UffbError("an OrderedDict is not made from pairs");
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2)
      throw new UffbError("an OrderedDict is not made from pairs");
    map.set(pair[0]!, pair[1]!);
  }
  return map;
}

/** torch.nn.Parameter around a tensor: (tensor, requires_grad, hooks). */
function rebuildParameter([tensor]: Value[]): Value {
  if (!(tensor instanceof StridedTensor))
    throw new UffbError("a parameter is built over something that is not a tensor");
  return tensor;
}

function torchSize([size]: Value[]): Value {
  return sizes(size, "size");
}

/** Every global that a checkpoint may name. */
const GLOBALS = new Map<string, Value>([
  ["collections.OrderedDict", new Callable(orderedDict)],
  ["torch._utils._rebuild_tensor", new Callable(rebuildTensor)],
  ["torch._utils._rebuild_tensor_v2", new Callable(rebuildTensor)],
  ["torch._utils._rebuild_tensor_v3", new Callable(rebuildTensor)],
  ["torch._utils._rebuild_parameter", new Callable(rebuildParameter)],
  ["torch.storage.UntypedStorage", new StorageClass(undefined)],
  ["torch.Size", new Callable(torchSize)],
]);
for (const [name, dtype, storage] of TYPES) {
  const element = new ElementType(dtype);
  GLOBALS.set(`torch.${name}`, element);
  if (storage !== undefined) GLOBALS.set(`torch.${storage}`, new StorageClass(element));
}

/** Globals of tensors that are harmless but not supported; any other global is treated as an attack. */
const UNSUPPORTED: [RegExp, string][] = [
  [/^torch\.(\w+Storage|(float|int|uint|complex|bits|q)\w+)$/, "an element type"],
  [/^torch\._utils\._rebuild_\w+$/, "a kind (sparse, quantised or a subclass)"],
];

/** The meaning of a checkpoint's pickle. Collects the storages it names; the container gives them their bytes. */
export class TorchHost implements Host {
  readonly storages = new Map<string, Storage>();

  global(module: string, name: string): Value {
    const path = `${module}.${name}`;
    const value = GLOBALS.get(path);
    if (value !== undefined) return value;
    const reason = UNSUPPORTED.find(([pattern]) => pattern.test(path))?.[1];
    throw new UffbError(
      reason !== undefined
        ? `the pickle has tensors of ${reason} that uffb does not read: ${quoted(path)}`
        : `the pickle asks for ${quoted(path)}, which a tensor checkpoint does not need; nothing was run. Save ` +
            "model.state_dict() alone, or use a safetensors file",
    );
  }

  call(callable: Value, args: Value[]): Value {
    if (!(callable instanceof Callable))
      throw new UffbError("the pickle calls something that is not a function");
    return callable.call(args);
  }

  /** ("storage", class, key, device, elements): a storage; the last item that old files add describes a view of another. */
  persistent(id: Value): Value {
    if (!Array.isArray(id) || id[0] !== "storage")
      throw new UffbError("the pickle refers to something that is not a storage");
    const [, type, key, , length, view] = id;
    if (!(type instanceof StorageClass) || typeof key !== "string" || key.length > 64) {
      throw new UffbError("the pickle refers to a storage without a type or a key");
    }
    if (typeof length !== "number" || !Number.isSafeInteger(length * 8) || length < 0) {
      throw new UffbError(`the storage ${quoted(key)} has no valid size`);
    }
    if (view !== undefined && view !== null) {
      throw new UffbError(
        `the storage ${quoted(key)} is a view of another, as before PyTorch 0.4; load and save it with a newer one`,
      );
    }
    const known = this.storages.get(key);
    if (known !== undefined) {
      if (known.type !== type || known.length !== length) {
        throw new UffbError(`the storage ${quoted(key)} is described in two ways`);
      }
      return known;
    }
    const storage = new Storage(key, type, length);
    this.storages.set(key, storage);
    return storage;
  }
}
