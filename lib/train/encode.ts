import type { Target } from "../data/own/labels.ts";
import { encodeExample } from "../eval/glue/encode.ts";
import type { Model } from "../model/model.ts";
import type { Examples } from "./batches.ts";

/** Labelled texts. */
export interface Texts {
  /** One text each, or several as a GLUE task has them. */
  texts: readonly (readonly string[])[];
  targets: readonly Target[];
  /** Where text `i` comes from, for messages. */
  place(i: number): string;
  /** Which texts make one question, where several do. */
  groups?: Int32Array | undefined;
}

/** Tokenises texts as the model reads them when it classifies. `cut`: how many were longer than `maxLength` tokens. */
export function encodeTexts(
  model: Pick<Model, "config" | "tokenizer">,
  { texts, targets, place }: Texts,
  maxLength: number,
): Examples & { cut: number } {
  const tokenizer = model.tokenizer();
  const { family, arch } = model.config;
  let cut = 0;
  const inputs = texts.map((parts) => {
    const { ids, types, dropped } = encodeExample(tokenizer, parts, maxLength, family);
    if (dropped > 0) cut++;
    return arch.tokenTypes > 1 ? { ids, types } : { ids };
  });
  return { inputs, targets, place, text: (i) => texts[i]!.join(" | "), cut };
}
