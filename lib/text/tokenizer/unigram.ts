import { asArray, asFlag, asInteger, fail, type JsonObject, show } from "../../base/json.ts";
import { Trie } from "./trie.ts";
import { MAX_VOCABULARY, type Vocabulary } from "./vocabulary.ts";

/** How much less an unknown character scores than the least token of the vocabulary. */
const UNKNOWN_PENALTY = 10;

/** For each end of a piece within a word: the best score of a way to it, the piece's start and its id. Shared by all words. */
interface Lattice {
  scores: Float64Array;
  starts: Int32Array;
  ids: Int32Array;
}

const lattice: Lattice = {
  scores: new Float64Array(64),
  starts: new Int32Array(64),
  ids: new Int32Array(64),
};

function reserve(length: number): Lattice {
  if (length > lattice.scores.length) {
    const size = 2 * length;
    lattice.scores = new Float64Array(size);
    lattice.starts = new Int32Array(size);
    lattice.ids = new Int32Array(size);
  }
  lattice.starts.fill(-1, 0, length);
  return lattice;
}

/** The scores of a `vocab` that lists [token, score], by id. @throws UffbError */
function readScores(value: unknown, where: string): Float64Array {
  const entries = asArray(value, where, MAX_VOCABULARY);
  const scores = new Float64Array(entries.length);
  entries.forEach((entry, id) => {
    const score = Array.isArray(entry) ? entry[1] : undefined;
    if (typeof score !== "number")
      fail(`${where}[${id}]`, `must be a token and its score, not ${show(entry)}`);
    scores[id] = score;
  });
  return scores;
}

/**
 * The unigram language model of SentencePiece (Kudo 2018, arXiv 1804.10959): of all ways to cut a word into tokens of the vocabulary, the one
 * whose scores (log probabilities) add up to most, found by Viterbi's algorithm in time linear in the word's length. As Rust `tokenizers`
 * has it: a character that no token of its own length covers costs ten more than the least score, and neighbouring unknown characters
 * are one unknown token.
 *
 * @throws UffbError for what is damaged
 */
export function readUnigram(
  config: JsonObject,
  vocabulary: Vocabulary,
  where: string,
): { encode: (word: string) => number[]; unknown: string | undefined } {
  const scores = readScores(config.vocab, `${where}.vocab`);
  const { ids } = vocabulary;
  const at = `${where}.unk_id`;
  const given = config.unk_id ?? undefined;
  const unknown = given === undefined ? -1 : asInteger(given, at, 0, scores.length - 1);
  const unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
  const byteIds = asFlag(config.byte_fallback, `${where}.byte_fallback`, false) ? readBytes(ids) : undefined;
  const trie = new Trie(ids);

  /** Appends what stands for a part that is no token: its bytes, where the vocabulary has all of them, or the unknown token. */
  const spellOut = (part: string, pieces: number[]) => {
    const known = ids.get(part);
    const bytes =
      byteIds && known === undefined ? Array.from(Buffer.from(part), (byte) => byteIds[byte]) : [];
    if (bytes.length > 0 && !bytes.includes(undefined)) {
      // In reverse, as the pieces are found.
      for (const id of bytes.reverse()) pieces.push(id!);
    } else pieces.push(known ?? unknown);
  };

  const encode = (word: string): number[] => {
    const { length } = word;
    const best = reserve(length + 1);
    best.scores[0] = 0;
    for (let start = 0; start < length; ) {
      const code = word.charCodeAt(start);
      const next = start + (code >= 0xd800 && code < 0xdc00 ? 2 : 1);
      const here = best.scores[start]!;
      let covered = false;
      for (let node = 0, end = start; end < length; ) {
        node = trie.next(node, word.charCodeAt(end++));
        if (node < 0) break;
        const id = trie.value(node);
        if (id < 0) continue;
        const score = scores[id]! + here;
        if (best.starts[end]! < 0 || score > best.scores[end]!) {
          best.scores[end] = score;
          best.starts[end] = start;
          best.ids[end] = id;
        }
        covered ||= end === next;
      }
      if (!covered) {
        const score = unknownScore + here;
        if (best.starts[next]! < 0 || score > best.scores[next]!) {
          if (unknown < 0) fail(at, `is missing, and ${show(word.slice(start, next))} is in no token`);
          best.scores[next] = score;
          best.starts[next] = start;
          best.ids[next] = unknown;
        }
      }
      start = next;
    }
    const pieces: number[] = [];
    for (let end = length; end > 0; ) {
      let start = best.starts[end]!;
      if (best.ids[end] !== unknown) pieces.push(best.ids[end]!);
      else {
        while (start > 0 && best.ids[start] === unknown) start = best.starts[start]!;
        spellOut(word.slice(start, end), pieces);
      }
      end = start;
    }
    return pieces.reverse();
  };
  return { encode, unknown: unknown < 0 ? undefined : vocabulary.tokens[unknown] };
}

/** The ids of "<0x00>" to "<0xFF>", as far as there are such tokens. */
function readBytes(ids: ReadonlyMap<string, number>): (number | undefined)[] {
  return Array.from({ length: 256 }, (_, byte) =>
    ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
}
