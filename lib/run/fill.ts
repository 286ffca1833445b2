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
  const parts = texts.map((text) =>
    text.replaceAll(tokenizer.specials.mask?.token ?? MASK, MASK).split(MASK),
  );
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
    part.reduce((text, rest) => join(text, tokenizer.token(best[used++]!)) + rest),
  );
  return filledPair === undefined ? { filled: filled! } : { filled: filled!, filledPair };
}

function join(text: string, token: string): string {
  return token.startsWith("##") ? text.trimEnd() + token.slice(2) : text + token;
}
