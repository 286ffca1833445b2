/** Damages a file in ways that parsers get wrong: lengths, counts, nesting, repetition, and pieces of other files. */

/** Numbers that depend on nothing but a seed, an index and the name of what they are for (sfc32). */
export class Random {
  readonly #state: Uint32Array;

  constructor(seed: number, index: number, name = "") {
    this.#state = Uint32Array.of(seed, index, Math.floor(index / 2 ** 32) ^ hashOf(name), 1);
    for (let i = 0; i < 16; i++) this.next();
  }

  /** 0 to 2^32-1. */
  next(): number {
    const s = this.#state;
    const result = (s[0]! + s[1]! + s[3]!) >>> 0;
    s[3]! += 1;
    s[0] = s[1]! ^ (s[1]! >>> 9);
    s[1] = s[2]! + (s[2]! << 3);
    s[2] = ((s[2]! << 21) | (s[2]! >>> 11)) + result;
    return result;
  }

  /** 0 to n-1. */
  below(n: number): number {
    return Math.floor((this.next() / 2 ** 32) * n);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** FNV-1a. */
function hashOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++)
    hash = Math.imul((hash || 0x811c9dc5) ^ name.charCodeAt(i), 0x01000193);
  return hash;
}

const MAX_BYTES = 2 ** 20;
/** One change alone gets furthest into a parser. */
const CHANGES_AT_MOST = [1, 1, 1, 2, 6];

const INTEGERS = [0, 1, -1, 2, 8, 127, 128, 255, 256, 32767, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const LONG = [2n ** 32n, 2n ** 53n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n, ...INTEGERS.map(BigInt)];
const NUMBERS = [
  "0",
  "-1",
  "1.5",
  "1e308",
  "1e999",
  "4294967296",
  "9007199254740993",
  "1099511627776",
  "NaN",
];
const VALUES = [
  "null",
  "true",
  '""',
  "[]",
  "{}",
  "[[]]",
  '{"":0}',
  '"\\ud800"',
  '"__proto__"',
  '"constructor"',
];
/** Once in so many times a piece is repeated until the file is large: such cases take most of the time. */
const LARGE = 400;

const OPENERS = ["[", '{"a":', "(", "]", "}", '"', "\\", "\0", " "];

/** Near an end, where headers and directories are, more often than in the middle. */
function place(length: number, random: Random): number {
  if (length === 0) return 0;
  const near = Math.floor(length ** (random.next() / 2 ** 32)) - 1;
  return random.pick([random.below(length), near, length - 1 - near]);
}

function replace(bytes: Uint8Array, from: number, to: number, by: Uint8Array | string): Uint8Array {
  const middle = typeof by === "string" ? new TextEncoder().encode(by) : by;
  return new Uint8Array(Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(to)]));
}

/** Start and end of the next run of bytes that `is` accepts. */
function findRun(bytes: Uint8Array, from: number, is: (byte: number) => boolean): [number, number] {
  let start = from;
  while (start < bytes.length && !is(bytes[start]!)) start++;
  let end = start;
  while (end < bytes.length && is(bytes[end]!)) end++;
  return [start, end];
}

const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
const isQuoted = (byte: number) => byte !== 0x22 && byte !== 0x2c && byte !== 0x3a;

type Change = (bytes: Uint8Array, random: Random, others: readonly Uint8Array[]) => Uint8Array;

const CHANGES: readonly Change[] = [
  function flipBit(bytes, random) {
    const at = place(bytes.length, random);
    return replace(bytes, at, at + 1, Uint8Array.of((bytes[at] ?? 0) ^ (1 << random.below(8))));
  },
  function setByte(bytes, random) {
    const at = place(bytes.length, random);
    return replace(bytes, at, at + 1, Uint8Array.of(random.next()));
  },
  function setInteger(bytes, random) {
    const at = place(bytes.length, random);
    const size = random.pick([2, 4, 8]);
    const word = new DataView(new ArrayBuffer(8));
    word.setBigUint64(0, random.pick(LONG), random.below(4) > 0);
    return replace(bytes, at, at + size, new Uint8Array(word.buffer, 0, size));
  },
  function setNumber(bytes, random) {
    const [start, end] = findRun(bytes, place(bytes.length, random), isDigit);
    return replace(bytes, start, end, random.pick(NUMBERS));
  },
  function setValue(bytes, random) {
    const [start, end] = findRun(bytes, place(bytes.length, random), isQuoted);
    return replace(bytes, start, end, random.pick(VALUES));
  },
  function cut(bytes, random) {
    const at = place(bytes.length, random);
    return replace(bytes, at, at + 1 + random.below(random.pick([1, 8, 64, 4096])), "");
  },
  function truncate(bytes, random) {
    return bytes.slice(0, place(bytes.length, random));
  },
  function repeat(bytes, random) {
    const at = place(bytes.length, random);
    const piece = Buffer.from(bytes.subarray(at, at + 1 + random.below(random.pick([1, 8, 64, 1024]))));
    const most = Math.floor(MAX_BYTES / 4 / Math.max(1, piece.length));
    const times = Math.min(most, random.below(LARGE) === 0 ? most : random.pick([1, 2, 10, 100]));
    return replace(bytes, at, at, Buffer.alloc(times * piece.length, piece));
  },
  function nest(bytes, random) {
    const at = place(bytes.length, random);
    const times = random.below(LARGE) === 0 ? 50_000 : random.pick([1, 10, 1000]);
    return replace(bytes, at, at, random.pick(OPENERS).repeat(times));
  },
  function move(bytes, random) {
    const from = place(bytes.length, random);
    const piece = bytes.slice(from, from + 1 + random.below(random.pick([4, 64, 1024])));
    const at = place(bytes.length, random);
    return replace(bytes, at, random.pick([at, at + piece.length]), piece);
  },
  function splice(bytes, random, others) {
    const other = random.pick(others);
    const from = place(other.length, random);
    const at = place(bytes.length, random);
    const length = 1 + random.below(random.pick([16, 256, other.length]));
    return replace(bytes, at, random.pick([at, at + length]), other.subarray(from, from + length));
  },
];

/** A damaged copy of one of `seeds`: 1 to 6 changes, each of which depends on `random` alone. */
export function mutate(seeds: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes = random.pick(seeds);
  for (let changes = 1 + random.below(random.pick(CHANGES_AT_MOST)); changes > 0; changes--) {
    bytes = random.pick(CHANGES)(bytes, random, seeds);
    if (bytes.length > 2 * MAX_BYTES) bytes = bytes.slice(0, 2 * MAX_BYTES);
  }
  return bytes;
}
