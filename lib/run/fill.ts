import type { Item } from "../text/input/input.ts";
import type { Tokenizer } from "../text/tokenizer/tokenizer.ts";

/** What a person writes for a missing word, whatever the tokenizer calls its mask token. */
const MASK = "[MASK]";

/**
 * An item's texts with a token in place of each mask, in reading order, and everything else as the user wrote it. Where truncation cut
 * masks off, it is the text that the model saw instead. Continuations ("##ing") join the word before them.
 */
export function fill(
  item: Item,
  ids: Int32Array,
  positions: readonly number[],
  best: readonly number[],
  tokenizer: Tokenizer,
): { filled: string; filledPair?: string } {
  const texts = item.pair === undefined ? [item.text] : [item.text, item.pair];
  const spellings = [MASK, tokenizer.specials.mask?.token ?? MASK];
  // More than there are positions are not needed: a text may be a million masks.
  const parts = texts.map((text) => cut(text, spellings, positions.length + 1));
  const masks = parts.reduce((sum, part) => sum + part.length - 1, 0);
  if (masks !== positions.length) {
    const seen = ids.slice();
    positions.forEach((position, i) => {
      seen[position] = best[i]!;
    });
    return { filled: tokenizer.decode(seen) };
  }
  let used = 0;
  const [filled, filledPair] = parts.map((part) =>
    part.reduce((text, rest) => join(text, tokenizer.text(best[used++]!), tokenizer.spaced) + rest),
  );
  return filledPair === undefined ? { filled: filled! } : { filled: filled!, filledPair };
}

/** The text between the first `most` of these spellings. */
function cut(text: string, spellings: readonly string[], most: number): string[] {
  const parts: string[] = [];
  const next = spellings.map((spelling) => text.indexOf(spelling));
  let at = 0;
  while (parts.length < most) {
    const found = next.reduce(
      (best, place, i) => (place >= 0 && !(next[best]! >= 0 && next[best]! <= place) ? i : best),
      0,
    );
    const place = next[found]!;
    if (place < 0) break;
    parts.push(text.slice(at, place));
    at = place + spellings[found]!.length;
    spellings.forEach((spelling, i) => {
      if (next[i]! >= 0 && next[i]! < at) next[i] = text.indexOf(spelling, at);
    });
  }
  parts.push(text.slice(at));
  return parts;
}

/** Tokens that hold spaces bring the one before their word along; others stand where the mask stood, but for what continues a word. */
function join(text: string, token: string, spaced: boolean): string {
  if (!spaced) return token.startsWith("##") ? text.trimEnd() + token.slice(2) : text + token;
  const before = text.trimEnd();
  return before === "" ? token.trimStart() : before + token;
}
