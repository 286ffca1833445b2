/** Which text stands before the user's: a model's own prompts have names, and say for which side of a search they are. */
import { UsageError } from "../base/errors.ts";
import { quoted } from "../base/printable.ts";
import type { Model } from "../model/model.ts";
import { type Prompts, promptOf } from "../model/sentence/prompts.ts";

/** A search has texts of two kinds, which many models read after a prompt of their own. */
export type Side = "query" | "document";

/** It could only be a name: a prompt of one's own has a space or another sign at its end. */
const NAME = /^[\w-]+$/;

export interface PromptOptions {
  /** Whether vectors are made of the texts; else the model is a classifier. */
  embeds: boolean;
  /** A prompt's name, or a text; the model's own choice when absent. */
  asked?: string | undefined;
  /** What the texts are in a search; absent outside one. */
  side?: Side;
}

/**
 * The text that stands before each of the user's, as encode, encode_query, encode_document and CrossEncoder.predict of
 * sentence-transformers choose it. Of two texts it stands before the first.
 *
 * @throws UsageError for a name that the model does not have
 */
export function promptFor(model: Model, { embeds, asked, side }: PromptOptions): string {
  const prompts = promptsOf(model, embeds);
  if (asked === undefined) {
    if (prompts === undefined) return "";
    return side === undefined ? prompts.usual : promptOf(prompts.named, side)!;
  }
  const named = prompts && promptOf(prompts.named, asked);
  if (named !== undefined) return named;
  if (!NAME.test(asked)) return asked;
  const names = Object.keys(prompts?.named ?? {});
  const known = names.length === 0 ? "none" : names.map(quoted).join(", ");
  throw new UsageError(
    `the model has no prompt ${quoted(asked)}; it has ${known}. A text of your own ends in a space or a sign: ${quoted(`${asked}: `)}`,
  );
}

/** Those of the library's class that the model is used as; another class has none of its own. */
function promptsOf(model: Model, embeds: boolean): Prompts | undefined {
  if (embeds) return model.sentence();
  const prompts = model.prompts();
  return prompts.modelType === "CrossEncoder" ? prompts : undefined;
}
