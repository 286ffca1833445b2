/** Hand-made parquet files for tests: whatever no writer would write. */
import { bytes, le } from "./forge.ts";

/** Unsigned LEB128, and the same of a signed number in zigzag. */
function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 128n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...out, Number(rest)]);
}
const zigzag = (value: number) => varint(value < 0 ? -2 * value - 1 : 2 * value);

/** A struct of Thrift's compact protocol: [field, type, content] in the order of fields. */
type Field = readonly [field: number, type: number, content: Uint8Array];
const [I32, I64, BINARY, LIST, STRUCT] = [5, 6, 8, 9, 12];
function struct(...fields: Field[]): Uint8Array {
  let last = 0;
  const parts = fields.map(([field, type, content]) => {
    const head = ((field - last) << 4) | type;
    last = field;
    return bytes(head, content);
  });
  return bytes(...parts, 0);
}
const int = (field: number, value: number): Field => [field, I32, zigzag(value)];
const long = (field: number, value: number): Field => [field, I64, zigzag(value)];
const text = (field: number, value: string): Field => [
  field,
  BINARY,
  bytes(varint(Buffer.byteLength(value)), value),
];
const inner = (field: number, content: Uint8Array): Field => [field, STRUCT, content];
const list = (field: number, type: number, items: readonly Uint8Array[]): Field => [
  field,
  LIST,
  bytes(items.length < 15 ? (items.length << 4) | type : bytes(0xf0 | type, varint(items.length)), ...items),
];

export interface ForgedColumn {
  name: string;
  /** Rows that a run of the dictionary's one text stands for, and that the page claims; by default those of the file. */
  run?: number;
  claimed?: number;
  /** 0: not compressed, 1: Snappy. */
  codec?: number;
  /** Bytes that the page is said to have when it is unpacked. */
  unpacked?: number;
}

/** A file of `rows` rows, each of which has the text `value` in every column; honest unless a column says otherwise. */
export function forgeParquet(
  rows: number,
  columns: readonly ForgedColumn[],
  value = "x",
): Uint8Array<ArrayBuffer> {
  let out = bytes("PAR1");
  const chunks = columns.map(({ name, run = rows, claimed = rows, codec = 0, unpacked }) => {
    const entry = bytes(le(value.length, 4), value);
    const start = out.length;
    const about = struct(int(1, 1), int(2, 0));
    out = bytes(
      out,
      struct(int(1, 2), int(2, unpacked ?? entry.length), int(3, entry.length), inner(7, about)),
      entry,
    );
    const page = out.length;
    const body = bytes(1, varint(2 * run), 0);
    const header = struct(int(1, claimed), int(2, 8), int(3, 3), int(4, 3));
    out = bytes(
      out,
      struct(int(1, 0), int(2, unpacked ?? body.length), int(3, body.length), inner(5, header)),
      body,
    );
    const size = out.length - start;
    const meta = struct(
      ...[
        int(1, 6),
        list(2, I32, [zigzag(0), zigzag(8)]),
        list(3, BINARY, [bytes(varint(name.length), name)]),
      ],
      ...[int(4, codec), long(5, rows), long(6, size), long(7, size), long(9, page), long(11, start)],
    );
    return struct(long(2, start), inner(3, meta));
  });
  const schema = [
    struct(text(4, "schema"), int(5, columns.length)),
    ...columns.map(({ name }) => struct(int(1, 6), int(3, 0), text(4, name))),
  ];
  const group = struct(list(1, STRUCT, chunks), long(2, 1000), long(3, rows));
  const footer = struct(int(1, 1), list(2, STRUCT, schema), long(3, rows), list(4, STRUCT, [group]));
  return new Uint8Array(bytes(out, footer, le(footer.length, 4), "PAR1"));
}
