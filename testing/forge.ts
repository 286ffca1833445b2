/** Hand-made pickles and ZIP files for tests: whatever PyTorch would never write. */

type Part = number | number[] | Uint8Array | string;

/** Joins bytes, byte lists and text. */
export function bytes(...parts: Part[]): Uint8Array {
  const chunks = parts.map((part) =>
    typeof part === "number"
      ? Uint8Array.of(part)
      : typeof part === "string"
        ? new TextEncoder().encode(part)
        : Uint8Array.from(part),
  );
  return new Uint8Array(Buffer.concat(chunks));
}

/** `value` as `size` little-endian bytes. */
export function le(value: number | bigint, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0, rest = BigInt(value); i < size; i++, rest >>= 8n) out[i] = Number(rest & 255n);
  return out;
}

/** Pieces of a pickle. */
export const op = {
  text: (text: string) => bytes("X", le(Buffer.byteLength(text), 4), text),
  int: (value: number | bigint) => bytes(0x8a, 8, le(value, 8)),
  global: (path: string) => {
    const dot = path.lastIndexOf(".");
    return bytes("c", path.slice(0, dot), "\n", path.slice(dot + 1), "\n");
  },
  tuple: (...items: Uint8Array[]) => bytes("(", ...items, "t"),
  sizes: (values: readonly (number | bigint)[]) => op.tuple(...values.map(op.int)),
  dict: (...items: Uint8Array[]) => bytes("}(", ...items, "u"),
};

/** A whole pickle of one value. */
export function pickle(value: Uint8Array): Uint8Array {
  return bytes(0x80, 2, value, ".");
}

/** A reference to the storage `key` of `length` elements. */
export function storage(
  key: string,
  length: number | bigint,
  type = "FloatStorage",
  view?: Uint8Array,
): Uint8Array {
  const items = [
    op.text("storage"),
    op.global(`torch.${type}`),
    op.text(key),
    op.text("cpu"),
    op.int(length),
  ];
  return bytes(op.tuple(...items, ...(view ? [view] : [])), "Q");
}

/** A tensor over a storage. */
export function tensor(
  over: Uint8Array,
  offset: number | bigint,
  shape: readonly (number | bigint)[],
  strides: readonly (number | bigint)[],
): Uint8Array {
  const args = op.tuple(over, op.int(offset), op.sizes(shape), op.sizes(strides), bytes(0x89), bytes("}"));
  return bytes(op.global("torch._utils._rebuild_tensor_v2"), args, "R");
}

export interface ZipPart {
  name: string;
  data: Uint8Array;
  /** Differences from an honest entry. */
  method?: number;
  flags?: number;
  localName?: string;
  header?: number;
  size?: number;
}

/** A ZIP file of stored entries; `zip64` keeps every size and offset in the 64-bit fields. */
export function zip(parts: ZipPart[], { zip64 = false, comment = "" } = {}): Uint8Array {
  const body: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let at = 0;
  for (const {
    name,
    data,
    method = 0,
    flags = 0x800,
    localName = name,
    header = at,
    size = data.length,
  } of parts) {
    const wide = zip64 ? bytes(le(1, 2), le(24, 2), le(size, 8), le(size, 8), le(header, 8)) : bytes();
    const narrow = (value: number) => le(zip64 ? 0xffffffff : value, 4);
    const common = bytes(le(flags, 2), le(method, 2), le(0, 8), narrow(size), narrow(size));
    const local = bytes("PK\x03\x04", le(45, 2), common, le(localName.length, 2), le(0, 2), localName, data);
    central.push(
      bytes("PK\x01\x02", le(45, 2), le(45, 2), common, le(name.length, 2), le(wide.length, 2), le(0, 10)),
      bytes(narrow(header), name, wide),
    );
    body.push(local);
    at += local.length;
  }
  const directory = bytes(...central);
  const end64 = bytes(
    ...["PK\x06\x06", le(44, 8), le(45, 2), le(45, 2), le(0, 8), le(parts.length, 8), le(parts.length, 8)],
    ...[le(directory.length, 8), le(at, 8), "PK\x06\x07", le(0, 4), le(at + directory.length, 8), le(1, 4)],
  );
  const count = le(zip64 ? 0xffff : parts.length, 2);
  const where = zip64 ? le(-1, 8) : bytes(le(directory.length, 4), le(at, 4));
  const end = bytes("PK\x05\x06", le(0, 4), count, count, where, le(comment.length, 2), comment);
  return bytes(...body, directory, ...(zip64 ? [end64] : []), end);
}

/** A ZIP checkpoint with this pickle and these storages. */
export function checkpoint(
  objects: Uint8Array,
  storages: Record<string, Uint8Array>,
  extra: ZipPart[] = [],
): Uint8Array {
  const data = Object.entries(storages).map(([key, data]) => ({ name: `m/data/${key}`, data }));
  return zip([{ name: "m/data.pkl", data: pickle(objects) }, ...extra, ...data]);
}

const MAGIC = bytes(0x8a, 10, le(0x1950a86a20f9469cfc6cn, 10));

export interface LegacyParts {
  magic?: Uint8Array;
  protocol?: number;
  little?: boolean;
  /** The storages of `objects`, in the order of the file: key, number of elements, bytes. */
  storages?: [string, number, Uint8Array][];
}

/** A checkpoint as before PyTorch 1.6. */
export function legacy(
  objects: Uint8Array,
  { magic = MAGIC, protocol = 1001, little = true, storages = [] }: LegacyParts,
): Uint8Array {
  return bytes(
    pickle(magic),
    pickle(op.int(protocol)),
    pickle(op.dict(op.text("little_endian"), bytes(little ? 0x88 : 0x89))),
    pickle(objects),
    pickle(bytes("](", ...storages.map(([key]) => op.text(key)), "e")),
    ...storages.flatMap(([, count, data]) => [le(count, 8), data]),
  );
}
