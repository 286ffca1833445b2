/** How often each word comes in a text of any length. */

/** Most different words that are held, some 200 MB: English Wikipedia has as many after about 10 GB. */
const MOST_WORDS = 1 << 22;
/** Longest word that is held, in bytes. */
const MOST_BYTES = 255;

/**
 * Counts what stands between white space of ASCII, in bounded memory. Words are held as bytes, and hashed as such: a string for each would
 * take most of the time. Where there are more different ones than `most`, the rarest are forgotten, those seen once first, then those seen twice,
 * until half of the room is free: a frequent word loses little, and of a long tail the end may be missed.
 */
export class WordCounts {
  /** Words forgotten so far were seen no more often than this. */
  forgotten = 0;
  readonly #most: number;
  /** Bytes of all words, one after the other; where each ends; how often it was seen. */
  #bytes = new Uint8Array(1 << 20);
  #ends = new Uint32Array(1 << 16);
  #counts = new Float64Array(1 << 16);
  #size = 0;
  /** Numbers of words, from 1, by their hashes: open addressing, at most half full. */
  #table = new Uint32Array(1 << 17);
  #text = new Uint8Array(1 << 16);

  /** @param onLong gets words longer than 255 bytes: text without white space, say, which may be words in another way */
  constructor(
    readonly onLong: (word: string) => void = () => {},
    most = MOST_WORDS,
  ) {
    this.#most = most;
  }

  /** Different words. */
  get size(): number {
    return this.#size;
  }

  add(text: string): void {
    if (this.#text.length < 3 * text.length) this.#text = new Uint8Array(3 * text.length);
    const bytes = this.#text;
    const { written } = new TextEncoder().encodeInto(text, bytes);
    let start = 0;
    let hash = FNV_BASIS;
    for (let at = 0; at <= written; at++) {
      const byte = at < written ? bytes[at]! : 32;
      if (byte > 32 || (byte < 9 && byte >= 0) || (byte > 13 && byte < 32)) {
        hash = Math.imul(hash ^ byte, FNV_PRIME);
        continue;
      }
      if (at > start) this.#count(bytes, start, at, hash);
      start = at + 1;
      hash = FNV_BASIS;
    }
  }

  *[Symbol.iterator](): Generator<[word: string, count: number]> {
    const decoder = new TextDecoder();
    for (let word = 0; word < this.#size; word++)
      yield [decoder.decode(this.#bytes.subarray(this.#start(word), this.#ends[word])), this.#counts[word]!];
  }

  #count(bytes: Uint8Array, start: number, end: number, hash: number): void {
    if (end - start > MOST_BYTES) {
      this.onLong(new TextDecoder().decode(bytes.subarray(start, end)));
      return;
    }
    const place = this.#find(bytes, start, end, hash);
    const word = this.#table[place]!;
    if (word > 0) this.#counts[word - 1]!++;
    else this.#insert(place, bytes, start, end, 1);
  }

  /** The place of a word in the table, or where it would be put. */
  #find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const table = this.#table;
    const mask = table.length - 1;
    for (let place = mix(hash) & mask; ; place = (place + 1) & mask) {
      const word = table[place]!;
      if (word === 0 || this.#is(word - 1, bytes, start, end)) return place;
    }
  }

  #is(word: number, bytes: Uint8Array, start: number, end: number): boolean {
    const own = this.#start(word);
    if (this.#ends[word]! - own !== end - start) return false;
    const all = this.#bytes;
    for (let i = start; i < end; i++) if (all[own + i - start] !== bytes[i]) return false;
    return true;
  }

  #start(word: number): number {
    return word === 0 ? 0 : this.#ends[word - 1]!;
  }

  #insert(place: number, bytes: Uint8Array, start: number, end: number, count: number): void {
    const from = this.#start(this.#size);
    const to = from + end - start;
    if (to > this.#bytes.length) this.#bytes = grown(this.#bytes, new Uint8Array(2 * this.#bytes.length));
    if (this.#size === this.#ends.length) {
      this.#ends = grown(this.#ends, new Uint32Array(2 * this.#size));
      this.#counts = grown(this.#counts, new Float64Array(2 * this.#size));
    }
    this.#bytes.set(bytes.subarray(start, end), from);
    this.#ends[this.#size] = to;
    this.#counts[this.#size] = count;
    this.#table[place] = ++this.#size;
    if (this.#size >= this.#most) this.#forget();
    else if (2 * this.#size > this.#table.length) this.#index(2 * this.#table.length);
  }

  #forget(): void {
    let left = this.#size;
    while (left > this.#most / 2) {
      this.forgotten++;
      left = 0;
      for (let word = 0; word < this.#size; word++) if (this.#counts[word]! > this.forgotten) left++;
    }
    let kept = 0;
    let to = 0;
    for (let word = 0, start = 0; word < this.#size; word++) {
      const end = this.#ends[word]!;
      if (this.#counts[word]! > this.forgotten) {
        this.#bytes.copyWithin(to, start, end);
        to += end - start;
        this.#ends[kept] = to;
        this.#counts[kept++] = this.#counts[word]!;
      }
      start = end;
    }
    this.#size = kept;
    this.#index(this.#table.length);
  }

  /** Builds the table anew. */
  #index(length: number): void {
    this.#table = new Uint32Array(length);
    const all = this.#bytes;
    for (let word = 0; word < this.#size; word++) {
      const [start, end] = [this.#start(word), this.#ends[word]!];
      let hash = FNV_BASIS;
      for (let at = start; at < end; at++) hash = Math.imul(hash ^ all[at]!, FNV_PRIME);
      this.#table[this.#find(all, start, end, hash)] = word + 1;
    }
  }
}

/** FNV-1a, whose low bits alone are weak. */
const FNV_BASIS = 0x811c9dc5 | 0;
const FNV_PRIME = 0x01000193;
const mix = (hash: number) => Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 7;

function grown<T extends Uint8Array | Uint32Array | Float64Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
