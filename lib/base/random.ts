/**
 * Random numbers that depend on a seed, a stream and a position alone: Philox 4x32 with ten rounds (Salmon et al., "Parallel random
 * numbers: as easy as 1, 2, 3", 2011). Nothing has to be stored or replayed to go on at any position: a run that is resumed draws
 * what it would have drawn.
 */

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
/** Added to the key after each round: the golden ratio, and sqrt(3) - 1. */
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

/** Four words of 32 bits for a counter of four and a key of two. */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>): Uint32Array {
  let [a = 0, b = 0, c = 0, d = 0] = Array.from(counter);
  let [k0 = 0, k1 = 0] = Array.from(key);
  for (let round = 0; round < ROUNDS; round++) {
    const [x, y] = [a, c];
    const old = [b, d] as const;
    a = (high(MULTIPLIERS[1], y) ^ old[0] ^ k0) >>> 0;
    b = Math.imul(MULTIPLIERS[1], y) >>> 0;
    c = (high(MULTIPLIERS[0], x) ^ old[1] ^ k1) >>> 0;
    d = Math.imul(MULTIPLIERS[0], x) >>> 0;
    k0 = (k0 + WEYL[0]) >>> 0;
    k1 = (k1 + WEYL[1]) >>> 0;
  }
  return Uint32Array.of(a, b, c, d);
}

/** The upper 32 bits of the product of two words. */
function high(x: number, y: number): number {
  const [x0, x1, y0, y1] = [x & 0xffff, x >>> 16, y & 0xffff, y >>> 16];
  const middle = x1 * y0 + ((x0 * y0) >>> 16);
  // Below 2^53: 2^32 and two products of 16 bits each.
  return (x1 * y1 + Math.floor((x0 * y1 + middle) / 0x10000)) >>> 0;
}

/** A sequence of random numbers. Two of other seeds, purposes or indices have nothing to do with each other. */
export class Random {
  readonly #key: readonly [number, number];
  readonly #stream: readonly [number, number];
  #block = 0;
  #words: Uint32Array = new Uint32Array(0);
  #used = 0;

  /**
   * @param seed a whole number from 0 to 2^53 - 1
   * @param purpose what the numbers are for: a shuffle and a split of one seed must not agree
   * @param index the epoch, say
   */
  constructor(seed: number, purpose: string, index = 0) {
    this.#key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
    this.#stream = [hash(purpose), index >>> 0];
  }

  /** 0 to 2^32 - 1. */
  word(): number {
    if (this.#used === this.#words.length) {
      const block = this.#block++;
      const counter = [block >>> 0, Math.floor(block / 2 ** 32), ...this.#stream];
      this.#words = philox(counter, this.#key);
      this.#used = 0;
    }
    return this.#words[this.#used++]!;
  }

  /** 0 to `limit` - 1, each alike. `limit` is at most 2^32. */
  below(limit: number): number {
    const fair = 2 ** 32 - (2 ** 32 % limit);
    for (;;) {
      const word = this.word();
      if (word < fair) return word % limit;
    }
  }

  /** Uniform in (0, 1), never 0. */
  uniform(): number {
    return (this.word() + 0.5) / 2 ** 32;
  }

  /** `count` numbers of the normal distribution of mean 0, by Box and Muller. */
  normal(count: number, deviation: number): Float32Array {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i += 2) {
      const radius = deviation * Math.sqrt(-2 * Math.log(this.uniform()));
      const angle = 2 * Math.PI * this.uniform();
      values[i] = radius * Math.cos(angle);
      if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
    }
    return values;
  }

  /** 0 to `count` - 1 in random order, by Fisher and Yates. */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    for (let last = count - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const value = order[last]!;
      order[last] = order[other]!;
      order[other] = value;
    }
    return order;
  }
}

/** FNV-1a of a name. */
function hash(name: string): number {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
