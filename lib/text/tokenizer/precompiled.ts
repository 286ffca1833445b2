import { asString, fail } from "../../base/json.ts";

/** Longest map accepted, in bytes of base64; that of SentencePiece's nmt_nfkc_cf has some 400,000. */
const MAX_BASE64 = 2 ** 24;
/** Longest text that may stand for characters, in bytes; the longest of Unicode's own forms has 33. */
const MAX_TEXT = 1024;
/** Clusters of at least so many bytes of UTF-8 are mapped character by character. */
const LONG = 6;

/**
 * Characters that can share a grapheme cluster of less than LONG bytes with a neighbour: marks, joiners, and those that stand before another.
 * All others are clusters of their own, or in long ones.
 */
const JOINED =
  "\\p{M}\\p{Cf}\\p{Emoji_Modifier}\\u0D4E\\u0E33\\u0EB3\\uFF9E\\uFF9F\\u{111C2}\\u{111C3}\\u{113D1}\\u{1193F}\\u{11941}\\u{11A3A}\\u{11A84}-\\u{11A89}\\u{11D46}\\u{11F02}";
const ANY_JOINED = new RegExp(`[${JOINED}]|\\r\\n`, "u");
/** Where they are: each with the character before it, and the one behind. */
const RUNS = new RegExp(`(?:[^${JOINED}]?(?:[${JOINED}]|\\r\\n)+)+[^${JOINED}]?`, "gu");
/** Of at most two bytes, without which no cluster of two is short. */
const NARROW = /[\0-\u07FF]/;

const PLAIN_ASCII = /^[ -~]*$/;

/**
 * The map from characters to characters that a SentencePiece model carries (`precompiled_charsmap`): a trie as a double array (Aoe 1989), whose
 * leaves are places in a list of texts that end in 0. Of a grapheme cluster that is short, the first match of its beginning stands for
 * all of it; of any other, each character is mapped by itself. So does Rust `tokenizers`.
 *
 * @throws UffbError when the map is damaged
 */
export function readCharsMap(
  value: unknown,
  where: string,
): (text: string, most: number) => string | undefined {
  const map = new CharsMap(asString(value, where, MAX_BASE64), where);
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
  const one = (char: string) => map.of(char) ?? char;
  const cluster = (text: string) => {
    const whole = Buffer.byteLength(text) < LONG ? map.of(text) : undefined;
    return whole ?? Array.from(text, one).join("");
  };
  const asciiStays = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).every(
    (char) => one(char) === char,
  );
  return (text, most) => {
    if (asciiStays && PLAIN_ASCII.test(text)) return text;
    let out = "";
    /** Appends a text character by character. Gives whether it is short enough still. */
    const addEach = (part: string) => {
      for (const char of part) {
        out += one(char);
        if (out.length > most) return false;
      }
      return true;
    };
    if (!ANY_JOINED.test(text)) return addEach(text) ? out : undefined;
    let done = 0;
    for (const { 0: run, index } of text.matchAll(RUNS)) {
      if (!addEach(text.slice(done, index))) return undefined;
      if (!NARROW.test(run)) addEach(run);
      else
        for (const { segment } of segmenter.segment(run)) {
          out += cluster(segment);
          if (out.length > most) break;
        }
      if (out.length > most) return undefined;
      done = index + run.length;
    }
    return addEach(text.slice(done)) ? out : undefined;
  };
}

class CharsMap {
  readonly #units: Uint32Array;
  readonly #texts: Buffer;
  readonly #where: string;
  /** What was asked for before: a text asks for the same characters again and again. */
  readonly #known = new Map<string, string | undefined>();

  constructor(base64: string, where: string) {
    const bytes = Buffer.from(base64, "base64");
    const size = bytes.length >= 4 ? bytes.readUInt32LE(0) : 0;
    if (size < 4 || size % 4 !== 0 || 4 + size > bytes.length)
      fail(where, "is damaged: its trie is not whole");
    this.#units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
    this.#texts = bytes.subarray(4 + size);
    this.#where = where;
  }

  /** What stands for a text: that of its shortest beginning in the map. */
  of(text: string): string | undefined {
    if (this.#known.has(text)) return this.#known.get(text);
    const found = this.#find(Buffer.from(text));
    if (this.#known.size > 1 << 16) this.#known.clear();
    this.#known.set(text, found);
    return found;
  }

  #find(key: Buffer): string | undefined {
    let node = offsetOf(this.#unit(0));
    for (const byte of key) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = this.#unit(node);
      // The label, with the bit that marks leaves, which no byte has.
      if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
      node ^= offsetOf(unit);
      if (unit & 0x100) return this.#text(this.#unit(node) & 0x7fffffff);
    }
    return undefined;
  }

  #unit(node: number): number {
    return this.#units[node] ?? fail(this.#where, "is damaged: its trie leads out of itself");
  }

  #text(start: number): string {
    if (start > this.#texts.length) fail(this.#where, "is damaged: it names a text behind its end");
    const text = this.#texts.subarray(start, start + MAX_TEXT + 1);
    const end = text.indexOf(0);
    if (end < 0 && text.length > MAX_TEXT)
      fail(this.#where, `is damaged: one of its texts has more than ${MAX_TEXT} bytes`);
    return text.toString("utf8", 0, end < 0 ? text.length : end);
  }
}

/** How far a node's children lie from it. */
function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
