/**
 * The pickle machine: reads one pickle (protocols 2 to 5, the part of it that tensor checkpoints use) into plain values. It calls
 * nothing by itself: every global, call and persistent id goes to a host, which knows the few that are harmless. Opcodes are
 * those of Python's Lib/pickletools.py; one that is not in the table below is an error that names it.
 */

import { UffbError } from "../../base/errors.ts";
import { quoted } from "../../base/printable.ts";

/** Lists and tuples are arrays, dicts are maps; `object` is whatever the host made. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Value[]
  | Map<Value, Value>
  | object;

export interface Host {
  /** The value of a global. @throws for every global it does not know */
  global(module: string, name: string): Value;
  /** The result of calling `callable` with `args`. @throws unless `callable` came from `global` */
  call(callable: Value, args: Value[]): Value;
  /** What a persistent id stands for. */
  persistent(id: Value): Value;
}

/** Bytes of memory that reading one pickle may take, by the estimates below: enough for some 15,000 tensors. */
export const MEMORY_LIMIT = 40 * 2 ** 20;

const COST = { opcode: 16, item: 16, array: 64, map: 256, entry: 64, text: 64, call: 512 };

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Machine {
  readonly stack: Value[] = [];
  readonly marks: number[] = [];
  readonly memo = new Map<number, Value>();
  readonly view: DataView;
  spent = 0;

  constructor(
    readonly bytes: Uint8Array,
    public position: number,
    readonly host: Host,
    readonly limit: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(reason: string): never {
    throw new UffbError(`not a readable pickle: ${reason} at byte ${this.position}`);
  }

  /** Accounts for memory before it is taken. */
  spend(bytes: number): void {
    this.spent += bytes;
    if (this.spent > this.limit)
      this.fail(`it needs more than ${this.limit} bytes of memory for its objects`);
  }

  /** Moves over `count` bytes and gives the position of the first. */
  take(count: number): number {
    const start = this.position;
    if (count > this.bytes.length - start) this.fail("it ends too early");
    this.position = start + count;
    return start;
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }
  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }
  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }
  u64(): number {
    const value = this.view.getBigUint64(this.take(8), true);
    return value > this.bytes.length ? this.fail("it ends too early") : Number(value);
  }

  text(length: number): string {
    const start = this.take(length);
    this.spend(COST.text + 2 * length);
    try {
      return utf8.decode(this.bytes.subarray(start, start + length));
    } catch {
      return this.fail("text that is not UTF-8");
    }
  }

  /** Text up to a newline: the two names of a global. */
  line(): string {
    const end = this.bytes.subarray(this.position, this.position + 256).indexOf(10);
    if (end < 0) this.fail("a name without an end");
    const text = this.text(end);
    this.position++;
    return text;
  }

  /** A little-endian two's complement integer; a bigint only beyond 2^53. */
  integer(length: number): number | bigint {
    const start = this.take(length);
    this.spend(COST.text + length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[start + i]!);
    value = BigInt.asIntN(8 * length, value);
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }

  push(value: Value): void {
    this.stack.push(value);
  }

  pop(): Value {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) this.fail("a value is missing");
    return this.stack.pop()!;
  }

  /** The last `count` values, as a tuple. */
  popTuple(count: number): void {
    if (this.stack.length - count < (this.marks.at(-1) ?? 0)) this.fail("a value is missing");
    this.tuple(this.stack.splice(this.stack.length - count, count));
  }

  /** The values above the last mark. */
  popMark(): Value[] {
    const mark = this.marks.pop() ?? this.fail("a mark is missing");
    return this.stack.splice(mark);
  }

  tuple(items: Value[]): void {
    this.spend(COST.array + COST.item * items.length);
    this.push(items);
  }

  append(items: Value[]): void {
    const list = this.stack.at(-1);
    if (!Array.isArray(list)) this.fail("a list is missing");
    this.spend(COST.item * items.length);
    for (const item of items) list.push(item);
  }

  setItems(items: Value[]): void {
    const map = this.stack.at(-1);
    if (!(map instanceof Map) || items.length % 2 !== 0) this.fail("a dict is missing");
    this.spend(COST.entry * items.length);
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i]!;
      if (map.has(key)) this.fail(`a dict has ${typeof key === "string" ? quoted(key) : "a key"} twice`);
      map.set(key, items[i + 1]!);
    }
  }

  put(index: number): void {
    this.spend(COST.entry);
    const value = this.stack.at(-1);
    if (value === undefined) this.fail("a value is missing");
    this.memo.set(index, value);
  }

  get(index: number): void {
    const value = this.memo.get(index);
    this.push(value === undefined ? this.fail("a memo entry is missing") : value);
  }

  global(module: Value, name: Value): void {
    if (typeof module !== "string" || typeof name !== "string") this.fail("a global without a name");
    this.push(this.host.global(module, name));
  }
}

/** What each opcode does. */
const OPCODES: Record<number, (m: Machine) => void> = {
  128: (m) => {
    const protocol = m.u8(); // PROTO
    if (protocol < 2 || protocol > 5) m.fail(`protocol ${protocol}`);
  },
  149: (m) => void m.u64(), // FRAME: only a hint for buffering
  40: (m) => void m.marks.push(m.stack.length), // MARK
  48: (m) => void m.pop(), // POP
  49: (m) => void m.popMark(), // POP_MARK
  78: (m) => m.push(null), // NONE
  136: (m) => m.push(true), // NEWTRUE
  137: (m) => m.push(false), // NEWFALSE
  74: (m) => m.push(m.view.getInt32(m.take(4), true)), // BININT
  75: (m) => m.push(m.u8()), // BININT1
  77: (m) => m.push(m.u16()), // BININT2
  138: (m) => m.push(m.integer(m.u8())), // LONG1
  71: (m) => m.push(m.view.getFloat64(m.take(8))), // BINFLOAT
  84: (m) => m.push(m.text(m.u32())), // BINSTRING, of Python 2
  85: (m) => m.push(m.text(m.u8())), // SHORT_BINSTRING
  88: (m) => m.push(m.text(m.u32())), // BINUNICODE
  140: (m) => m.push(m.text(m.u8())), // SHORT_BINUNICODE
  141: (m) => m.push(m.text(m.u64())), // BINUNICODE8
  66: (m) => pushBytes(m, m.u32()), // BINBYTES
  67: (m) => pushBytes(m, m.u8()), // SHORT_BINBYTES
  41: (m) => m.tuple([]), // EMPTY_TUPLE
  116: (m) => m.tuple(m.popMark()), // TUPLE
  133: (m) => m.popTuple(1), // TUPLE1
  134: (m) => m.popTuple(2), // TUPLE2
  135: (m) => m.popTuple(3), // TUPLE3
  93: (m) => m.tuple([]), // EMPTY_LIST
  97: (m) => m.append([m.pop()]), // APPEND
  101: (m) => m.append(m.popMark()), // APPENDS
  125: (m) => pushMap(m), // EMPTY_DICT
  115: (m) => {
    const value = m.pop(); // SETITEM
    m.setItems([m.pop(), value]);
  },
  117: (m) => m.setItems(m.popMark()), // SETITEMS
  99: (m) => {
    const module = m.line(); // GLOBAL
    m.global(module, m.line());
  },
  147: (m) => {
    const name = m.pop(); // STACK_GLOBAL
    m.global(m.pop(), name);
  },
  82: (m) => {
    const args = m.pop(); // REDUCE
    if (!Array.isArray(args)) return m.fail("a call without arguments");
    m.spend(COST.call);
    for (const arg of args) if (Array.isArray(arg)) m.spend(COST.entry * arg.length);
    m.push(m.host.call(m.pop(), args));
  },
  98: (m) => {
    // BUILD sets attributes of an object. The only one in a checkpoint is the `_metadata` of a state dict: not data, dropped.
    const state = m.pop();
    if (!(state instanceof Map) || !(m.stack.at(-1) instanceof Map))
      m.fail("attributes of an unknown object");
  },
  113: (m) => m.put(m.u8()), // BINPUT
  114: (m) => m.put(m.u32()), // LONG_BINPUT
  148: (m) => m.put(m.memo.size), // MEMOIZE
  104: (m) => m.get(m.u8()), // BINGET
  106: (m) => m.get(m.u32()), // LONG_BINGET
  81: (m) => {
    m.spend(COST.call); // BINPERSID
    m.push(m.host.persistent(m.pop()));
  },
};

const STOP = 46;

function pushBytes(m: Machine, length: number): void {
  const start = m.take(length);
  m.spend(COST.array);
  m.push(m.bytes.subarray(start, start + length));
}

function pushMap(m: Machine): void {
  m.spend(COST.map);
  m.push(new Map());
}

/**
 * Reads the pickle that starts at byte `start` of `bytes`; gives its value and the position after it. Time and memory
 * are bounded by `limit`, whatever the bytes are.
 *
 * @throws UffbError when it is malformed, uses an opcode or (by the host) a global that is not on the list, or would take more than `limit`
 * bytes of memory
 */
export function unpickle(
  bytes: Uint8Array,
  start: number,
  host: Host,
  limit = MEMORY_LIMIT,
): { value: Value; end: number } {
  const machine = new Machine(bytes, start, host, limit);
  if (bytes[start] !== 128) machine.fail("it does not begin with a protocol 2 to 5 header");
  for (;;) {
    const opcode = machine.u8();
    if (opcode === STOP) break;
    machine.spend(COST.opcode);
    const run = OPCODES[opcode];
    if (run === undefined) {
      throw new UffbError(
        `the pickle uses opcode 0x${opcode.toString(16).padStart(2, "0")} at byte ${machine.position - 1}, which no tensor ` +
          "checkpoint needs; uffb reads plain state dicts only",
      );
    }
    run(machine);
  }
  return { value: machine.pop(), end: machine.position };
}
