import { UffbError } from "../../base/errors.ts";
import type { Family } from "../../model/families/family.ts";
import type { Encoding, Tokenizer } from "../../text/tokenizer/tokenizer.ts";

/** Most tokens of an input, as in the papers; less where the model takes less. */
export const MAX_LENGTH = 128;

/**
 * The tokens of one example. Two texts are a pair, and of more all but the last are joined by the separator token into the first of the
 * pair. One text is the pair (text, "") where the family has it so, as cramming and UltraFastBERT do, and else stands alone.
 * @param maxLength most tokens, special ones included; the longer text is cut first
 */
export function encodeExample(
  tokenizer: Tokenizer,
  texts: readonly string[],
  maxLength: number,
  { emptyPair }: Pick<Family, "emptyPair">,
): Encoding {
  const { sep } = tokenizer.specials;
  if (texts.length > 2 && sep === undefined) {
    throw new UffbError(
      "the tokenizer has no separator token, which this task's texts are joined by; use a BERT-like model",
    );
  }
  const first = texts.length === 1 ? texts[0]! : texts.slice(0, -1).join(sep?.token);
  const pair = texts.length > 1 ? texts.at(-1)! : emptyPair && "";
  return tokenizer.encode(first, { ...(pair !== undefined && { pair }), maxLength, literal: true });
}
