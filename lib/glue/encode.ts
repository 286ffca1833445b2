import { UffbError } from "../errors.ts";
import type { Encoding, Tokenizer } from "../tokenizer.ts";

/** Most tokens of an input, as in the papers; less where the model takes less. */
export const MAX_LENGTH = 128;

/**
 * The tokens of one example, as cramming and UltraFastBERT encode it: always the pair template. One text is the pair (text, ""), two are
 * a pair, and of more all but the last are joined by the separator token into the first of the pair.
 * @param maxLength most tokens, special ones included; the longer text is cut first
 */
export function encodeExample(tokenizer: Tokenizer, texts: readonly string[], maxLength: number): Encoding {
  const { sep } = tokenizer.specials;
  if (texts.length > 2 && sep === undefined) {
    throw new UffbError(
      "the tokenizer has no separator token, which this task's texts are joined by; use a BERT-like model",
    );
  }
  const first = texts.length === 1 ? texts[0]! : texts.slice(0, -1).join(sep?.token);
  const pair = texts.length === 1 ? "" : texts.at(-1)!;
  return tokenizer.encode(first, { pair, maxLength, literal: true });
}
