/**
 * The safetensors format: u64 length of the header, the header (JSON: tensor name -> dtype, shape, offsets), the tensors' bytes. Files
 * come from strangers: everything is checked before use, and an error names file and tensor.
 */
import { SafeTensor } from "safetensors";
import { UffbError } from "../../base/errors.ts";
import { isObject, type JsonObject, tryJson } from "../../base/json.ts";
import { quoted } from "../../base/printable.ts";
import { mapFile } from "./mapped.ts";

/** A tensor as a file holds it, whatever the file's format. */
export interface StoredTensor {
  /** An element type's name in safetensors: F32, F16, BF16, I64, ... */
  readonly dtype: string;
  /** [] for a scalar. */
  readonly shape: readonly number[];
  /** The elements, row-major, little-endian: where possible a view of the mapped file, at any alignment. Read it once per use. */
  readonly data: Uint8Array;
  /** Where it came from, for messages. */
  readonly file: string;
  /** Equal for tensors that are one and the same piece of a file (tied weights), where the format can tell. */
  readonly identity?: string;
  /** Each reading of `data` makes a copy. */
  readonly copied?: boolean;
}

export interface TensorFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: Map<string, StoredTensor>;
}

/** Bytes of an element. */
export const DTYPE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** The format's own limit on a header. */
const MAX_HEADER = 100_000_000;
/** Values and keys in a header: some 100,000 tensors. Bounds what parsing it may allocate. */
const MAX_PARTS = 1_000_000;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Opens a file by mapping it.
 *
 * @throws UffbError when it is missing or not sound
 */
export function openTensorFile(path: string): TensorFile {
  return parseTensorFile(mapFile(path), path);
}

/** The tensors of a file, by name. */
export function openSafetensors(path: string): Map<string, StoredTensor> {
  return namedTensors(openTensorFile(path));
}

/**
 * A file's tensors by all their names: one that goes by several is there once, and the metadata map its other names to that one
 * (Python's safetensors.torch.save_model does it so).
 */
export function namedTensors({ metadata, tensors }: TensorFile): Map<string, StoredTensor> {
  const all = new Map(tensors);
  for (const [name, first] of Object.entries(metadata)) {
    const tensor = tensors.get(first);
    if (tensor && name !== "format" && !tensors.has(name)) all.set(name, tensor);
  }
  return all;
}

/** Reads a whole file's bytes; the tensors are views of them. `source` is its name in messages. */
export function parseTensorFile(bytes: Uint8Array, source: string): TensorFile {
  const bad = (what: string) => new UffbError(`${source}: ${what}; is it a complete safetensors file?`);
  if (bytes.length < 8) throw bad(`has ${bytes.length} bytes, too few for a header`);
  if (new TextDecoder().decode(bytes.subarray(0, 24)).startsWith("version https://git-lfs")) {
    throw new UffbError(
      `${source}: is a Git LFS pointer, not the file it stands for; download the file itself`,
    );
  }
  const declared = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER))
    throw bad(`declares a header of ${declared} bytes; at most ${MAX_HEADER} can be`);
  const length = Number(declared);
  if (length > bytes.length - 8) {
    throw bad(`declares a header of ${length} bytes, but only ${bytes.length - 8} follow`);
  }
  const { header, metadataAt } = parseHeader(bytes.subarray(8, 8 + length), bad);
  const { __metadata__, ...entries } = header;
  const metadata = __metadata__ ?? {};
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    throw bad("__metadata__ in the header is not an object of strings");
  }
  const size = bytes.length - 8 - length;
  for (const [name, entry] of Object.entries(entries)) checkEntry(name, entry, size, bad);

  // The package would read "__metadata__" as a tensor, and checks nothing. So it gets the header after our checks, with spaces in place of that member.
  const checked = bytes.slice(0, 8 + length);
  checked.fill(0x20, 8 + metadataAt.start, 8 + metadataAt.end);
  const found = [...new SafeTensor(checked).metadata].map(([name, { dtype, shape, data_offsets }]) => {
    return {
      name,
      dtype,
      shape,
      begin: data_offsets[0]! - checked.length,
      end: data_offsets[1]! - checked.length,
    };
  });

  let covered = 0;
  let last = "the header";
  for (const { name, begin, end } of found.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < covered) throw bad(`tensor ${quoted(name)} overlaps ${last}`);
    if (begin > covered)
      throw bad(`${begin - covered} bytes between ${last} and tensor ${quoted(name)} belong to no tensor`);
    covered = end;
    last = `tensor ${quoted(name)}`;
  }
  if (covered !== size) throw bad(`${size - covered} bytes after ${last} belong to no tensor`);
  const data = bytes.subarray(8 + length);
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, begin, end } of found) {
    tensors.set(name, { dtype, shape, data: data.subarray(begin, end), file: source });
  }
  return { metadata: metadata as Record<string, string>, tensors };
}

type Bad = (what: string) => UffbError;

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function parseHeader(bytes: Uint8Array, bad: Bad): { header: JsonObject; metadataAt: Span } {
  if (bytes[0] !== 0x7b) throw bad("the header does not start with {");
  const { keys, metadataAt } = scanHeader(bytes, bad);
  const header = parseObject(bytes, bad);
  // JSON.parse keeps the last of two equal keys; another reader may keep the first.
  if (countKeys(header) !== keys) throw bad("the header names something twice");
  if (Object.hasOwn(header, METADATA) && metadataAt.end === 0)
    throw bad(`the header spells ${METADATA} with escapes`);
  return { header, metadataAt };
}

/** Keys of an object and of all within it, whose nesting parsing has limited. */
function countKeys(value: object): number {
  const values = Object.values(value);
  const own = Array.isArray(value) ? 0 : values.length;
  return values.reduce(
    (sum, one) => sum + (typeof one === "object" && one !== null ? countKeys(one) : 0),
    own,
  );
}

function parseObject(bytes: Uint8Array, bad: Bad): JsonObject {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw bad("the header is not UTF-8");
  }
  const read = tryJson(text);
  if ("error" in read) throw bad(`the header: ${read.error}`);
  if (!isObject(read.value)) throw bad("the header is not a JSON object");
  return read.value;
}

interface Span {
  start: number;
  /** The byte after the last; 0 where there is none. */
  end: number;
}

const METADATA = "__metadata__";
const QUOTED_METADATA = Buffer.from(`"${METADATA}"`);

/**
 * Counts the keys of a JSON object, colons outside strings, and finds its member "__metadata__" with a comma beside it. Also rejects a
 * header whose parsing would allocate far more than its length. On bytes that are not JSON the result has no meaning; parsing rejects them.
 */
function scanHeader(bytes: Uint8Array, bad: Bad): { keys: number; metadataAt: Span } {
  let keys = 0;
  let parts = 0;
  let depth = 0;
  /** Where, in the outermost object, the last string began and the last comma stands; 0: none yet. */
  let string = 0;
  let comma = 0;
  /** Where the member began, while it lasts. */
  let member = 0;
  let metadataAt = { start: 0, end: 0 };
  for (let i = 0; i < bytes.length; i++) {
    switch (bytes[i]) {
      case 0x22: // "
        if (depth === 1) string = i;
        for (i++; i < bytes.length && bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++;
        break;
      case 0x3a: // :
        keys++;
        if (depth === 1 && QUOTED_METADATA.equals(bytes.subarray(string, string + QUOTED_METADATA.length)))
          member = string;
        break;
      case 0x7b: // {
      case 0x5b: // [
        parts++;
        depth++;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        if (depth === 0 && member > 0) metadataAt = { start: comma || member, end: i };
        break;
      case 0x2c: // ,
        parts++;
        if (depth !== 1) break;
        if (member > 0) metadataAt = { start: member, end: i + 1 };
        else comma = i;
        member = 0;
    }
  }
  if (keys + parts > MAX_PARTS) throw bad("the header has far too many parts");
  return { keys, metadataAt };
}

function checkEntry(name: string, entry: unknown, size: number, bad: Bad): void {
  const label = `tensor ${quoted(name)}`;
  if (!isObject(entry)) throw bad(`${label} in the header is not an object`);
  // Other properties mean nothing to the format's own reader either.
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw bad(`${label} has the unknown dtype ${quoted(String(JSON.stringify(dtype)))}`);
  }
  if (!Array.isArray(shape) || !shape.every(isSize))
    throw bad(`${label} has a shape that is not a list of sizes`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw bad(`${label} has data_offsets that are not two positions`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > size) {
    throw bad(`${label} lies at bytes ${begin} to ${end}, outside the ${size} bytes of data`);
  }
  const expected = byteCount(dtype, shape);
  if (expected !== end - begin) {
    throw bad(
      `${label}, ${dtype} [${shape.join(", ").slice(0, 100)}], has ${end - begin} bytes instead of ${expected}`,
    );
  }
}

/** Bytes of a tensor; approximate beyond 2^53. */
export function byteCount(dtype: string, shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]!);
}
