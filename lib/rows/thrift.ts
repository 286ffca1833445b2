/**
 * Walks through a structure in Thrift's compact protocol, in which parquet's metadata are written, before hyparquet reads it: that makes
 * room for as many elements as a list claims, and adds up numbers of any length.
 */

/** How values are written, by their types' numbers. */
const [STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12,
];
/** Parquet's metadata need 6. */
const MAX_DEPTH = 32;
const MAX_VARINT = 10;

class ThriftWalk {
  constructor(
    readonly bytes: Uint8Array,
    public offset: number,
  ) {}

  struct(depth: number): void {
    if (depth > MAX_DEPTH) throw new Error("its metadata are nested too deeply");
    for (;;) {
      const byte = this.#byte();
      const type = byte & 15;
      if (type === STOP) return;
      if (byte >> 4 === 0) this.#varint();
      if (type !== TRUE && type !== FALSE) this.#value(type, depth);
    }
  }

  #value(type: number, depth: number): void {
    switch (type) {
      case TRUE: // in a list, each is a byte
      case FALSE:
      case BYTE:
        this.#skip(1);
        return;
      case I16:
      case I32:
      case I64:
        this.#varint();
        return;
      case DOUBLE:
        this.#skip(8);
        return;
      case BINARY:
        this.#skip(this.#varint());
        return;
      case LIST: {
        const byte = this.#byte();
        const count = byte >> 4 === 15 ? this.#varint() : byte >> 4;
        if (count > this.bytes.length - this.offset)
          throw new Error("a list of its metadata claims more than there is");
        for (let i = 0; i < count; i++) this.#value(byte & 15, depth + 1);
        return;
      }
      case STRUCT:
        this.struct(depth + 1);
        return;
      default:
        throw new Error(`its metadata hold a value of type ${type}`);
    }
  }

  #byte(): number {
    this.#skip(1);
    return this.bytes[this.offset - 1]!;
  }

  #skip(count: number): void {
    if (count > this.bytes.length - this.offset) throw new Error("its metadata end too early");
    this.offset += count;
  }

  #varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw new Error("a number of its metadata has no end");
  }
}

/** @throws Error where the structure that begins at `offset` does not end, or claims more than the bytes hold */
export function checkThrift(bytes: Uint8Array, offset = 0): void {
  new ThriftWalk(bytes, offset).struct(0);
}
