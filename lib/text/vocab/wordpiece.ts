/**
 * Learns the pieces of WordPiece as Hugging Face's trainer does: by merges of byte pair encoding (Sennrich et al., arXiv 1508.07909) over
 * counted words, the most frequent pair first, of which the pieces are kept and the merges are not.
 */
import { UffbError } from "../../base/errors.ts";
import { Heap } from "./heap.ts";

export interface WordPieceOptions {
  /** Tokens in all, special ones included. */
  size: number;
  /** Tokens that come first, in this order. */
  specials: readonly string[];
  /** Pairs that come less often are not merged. */
  leastCount: number;
  /** Before pieces that continue a word. */
  prefix: string;
  /** After every thousand tokens, how many there are. */
  onProgress?: ((tokens: number) => void) | undefined;
}

/** Two tokens that stand next to each other in words. */
interface Pair {
  left: number;
  right: number;
  /** How often, over all words. */
  count: number;
  /** Words that may have it: some have lost it since, and some come twice. */
  words: number[];
  /** Its count when it was put into the queue last. */
  queued: number;
}

/** Ids are below this: two of them make a number that a double holds exactly. */
const MOST_TOKENS = 2 ** 24;
/** Tokens between two reports. */
const REPORT = 1000;

/**
 * The tokens of a vocabulary, in the order of their ids: special ones, single characters as starts of words in the order of their codes, the
 * same as continuations, then merges as they were learnt. Among pairs of one count the one of smaller ids comes first, so that the result
 * depends on the words and their counts alone, whatever their order.
 * @throws UffbError when `size` has no room for all characters
 */
export function trainWordPiece(
  counted: Iterable<readonly [word: string, count: number]>,
  options: WordPieceOptions,
): string[] {
  const words = [...counted].map(([word, count]) => ({ units: [...word], count }));
  const tokens = new Tokens(options.prefix);
  for (const special of options.specials) tokens.add(special);
  const [seen, continued] = [new Set<string>(), new Set<string>()];
  for (const { units } of words) {
    for (const [i, unit] of units.entries()) {
      seen.add(unit);
      if (i > 0) continued.add(unit);
    }
  }
  const alphabet = [...seen].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  for (const unit of alphabet) tokens.add(unit);
  for (const unit of alphabet) if (continued.has(unit)) tokens.add(options.prefix + unit);
  if (tokens.count > options.size)
    throw new UffbError(
      `a vocabulary of ${options.size} has no room for the ${tokens.count} special tokens and characters of this text; give a larger --size`,
    );
  const merger = new Merger(
    words.map(({ units }) => units.map((unit, i) => tokens.id(i === 0 ? unit : options.prefix + unit)!)),
    Float64Array.from(words, ({ count }) => count),
  );
  while (tokens.count < options.size) {
    const pair = merger.best(options.leastCount);
    if (pair === undefined) break;
    const before = tokens.count;
    merger.merge(pair, tokens.merged(pair.left, pair.right));
    if (tokens.count > before && tokens.count % REPORT === 0) options.onProgress?.(tokens.count);
  }
  return tokens.list;
}

class Tokens {
  readonly list: string[] = [];
  readonly #ids = new Map<string, number>();

  constructor(readonly prefix: string) {}

  get count(): number {
    return this.list.length;
  }

  id(token: string): number | undefined {
    return this.#ids.get(token);
  }

  add(token: string): number {
    const found = this.#ids.get(token);
    if (found !== undefined) return found;
    this.#ids.set(token, this.list.length);
    return this.list.push(token) - 1;
  }

  /** The id of two tokens put together; it may be there already, by another way. */
  merged(left: number, right: number): number {
    return this.add(this.list[left]! + this.list[right]!.slice(this.prefix.length));
  }
}

/** Words as tokens, and the pairs in them, kept up to date as pairs are merged: a merge costs what its words cost, not what all do. */
class Merger {
  readonly #words: number[][];
  readonly #counts: Float64Array;
  readonly #pairs = new Map<number, Pair>();
  readonly #queue: Heap<{ pair: Pair; count: number }>;

  constructor(words: number[][], counts: Float64Array) {
    this.#words = words;
    this.#counts = counts;
    this.#queue = new Heap((a, b) =>
      a.count !== b.count
        ? a.count > b.count
        : a.pair.left !== b.pair.left
          ? a.pair.left < b.pair.left
          : a.pair.right < b.pair.right,
    );
    for (const [number, ids] of words.entries())
      for (let i = 1; i < ids.length; i++) this.#change(ids[i - 1]!, ids[i]!, number, counts[number]!);
    this.#enqueue(this.#pairs.values());
  }

  /** The most frequent pair. What lies in the queue may have become rarer since; then it goes back to its place. */
  best(least: number): Pair | undefined {
    for (;;) {
      const top = this.#queue.pop();
      if (top === undefined) return undefined;
      const { pair, count } = top;
      if (count !== pair.queued) continue; // there is a later entry
      if (count === pair.count) return count >= Math.max(1, least) ? pair : undefined;
      this.#enqueue([pair]);
    }
  }

  merge(pair: Pair, token: number): void {
    const grown = new Set<Pair>();
    const { left, right } = pair;
    this.#pairs.delete(key(left, right));
    for (const number of pair.words) {
      const ids = this.#words[number]!;
      const count = this.#counts[number]!;
      let to = 0;
      for (let from = 0; from < ids.length; from++) {
        if (ids[from] !== left || ids[from + 1] !== right) {
          ids[to++] = ids[from]!;
          continue;
        }
        if (to > 0) {
          const before = ids[to - 1]!;
          this.#change(before, left, number, -count);
          grown.add(this.#change(before, token, number, count)!);
        }
        const after = ids[from + 2];
        if (after !== undefined) {
          this.#change(right, after, number, -count);
          grown.add(this.#change(token, after, number, count)!);
        }
        ids[to++] = token;
        from++;
      }
      ids.length = to;
    }
    pair.words = [];
    pair.count = 0;
    this.#enqueue(grown);
  }

  #change(left: number, right: number, word: number, by: number): Pair | undefined {
    const place = key(left, right);
    let pair = this.#pairs.get(place);
    if (pair === undefined) {
      if (by < 0) return undefined; // the pair that is being merged, overlapping itself
      pair = { left, right, count: 0, words: [], queued: -1 };
      this.#pairs.set(place, pair);
    }
    pair.count += by;
    if (by > 0 && pair.words.at(-1) !== word) pair.words.push(word);
    return pair;
  }

  #enqueue(pairs: Iterable<Pair>): void {
    for (const pair of pairs) {
      if (pair.count <= 0 || pair.count === pair.queued) continue;
      pair.queued = pair.count;
      this.#queue.push({ pair, count: pair.count });
    }
  }
}

const key = (left: number, right: number) => left * MOST_TOKENS + right;
