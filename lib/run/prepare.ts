import { UffbError } from "../base/errors.ts";
import type { Model } from "../model/model.ts";
import type { SentenceSettings } from "../model/sentence/settings.ts";
import { type BadItem, badItem, type Item, SystematicError } from "../text/input/input.ts";
import type { EncodeOptions, Encoding, Tokenizer } from "../text/tokenizer/tokenizer.ts";

/** An item as the model sees it. */
export interface Prepared {
  item: Item;
  ids: Int32Array;
  /** Absent for a model without token types. */
  types: Int32Array | undefined;
  /** Tokens cut off because the model takes no more. */
  dropped: number;
  /** Rows of the mask tokens; empty unless masks are to be filled. */
  masks: number[];
  /** Tokens at the start that are the prompt's and not pooled. */
  skip: number;
}

export interface PrepareOptions {
  /** Masks are to be filled, so that each item needs one. */
  fill: boolean;
  /** Cut what is longer than the model takes, instead of refusing it. */
  truncate: boolean;
  /** The mask's id for a model without tokenizer, which can only be given token ids. */
  maskId: number | undefined;
  /** Texts that each item is to have; any number when absent. */
  texts?: 1 | 2 | undefined;
  /** How a model of sentence-transformers reads texts, if that is what is asked of it. */
  sentence?: SentenceSettings | undefined;
  /** What stands before each text; "" when absent. */
  prompt?: string;
}

/**
 * Turns items into token ids one by one. An item that cannot be one becomes a BadItem, in its place; a model folder without its tokenizer
 * throws at the first text.
 */
export async function* prepare(
  model: Model,
  items: AsyncIterable<Item | BadItem>,
  options: PrepareOptions,
): AsyncGenerator<Prepared | BadItem> {
  let skip: number | undefined;
  for await (const item of items) {
    if ("error" in item) {
      yield item;
      continue;
    }
    const tokenizer = item.ids ? undefined : model.tokenizer();
    const maskId = options.fill
      ? findMaskId(model, tokenizer ?? model.optionalTokenizer(), options)
      : undefined;
    try {
      skip ??= tokenizer && promptTokens(model, tokenizer, options);
      yield prepareItem(model, item, { tokenizer, maskId, skip: tokenizer ? skip! : 0 }, options);
    } catch (error) {
      yield badItem(item, error);
    }
  }
}

function prepareItem(
  model: Model,
  item: Item,
  { tokenizer, maskId, skip }: { tokenizer: Tokenizer | undefined; maskId: number | undefined; skip: number },
  options: PrepareOptions,
): Prepared {
  const { truncate, sentence, texts } = options;
  checkTexts(item, texts);
  const { vocab, tokenTypes } = model.config.arch;
  const maxLength = longest(model, sentence);
  const { ids, types, dropped } = tokenizer
    ? encodeText(tokenizer, item.text, options, {
        ...template(model, item),
        ...(truncate && { maxLength }),
      })
    : cut(item.ids!, truncate ? maxLength : Number.POSITIVE_INFINITY);
  if (ids.length === 0) throw new UffbError("no tokens");
  if (ids.length > maxLength) {
    throw new UffbError(
      `${ids.length} tokens, and the model takes ${maxLength}; shorten it or drop --no-truncate`,
    );
  }
  const foreign = ids.find((id) => id < 0 || id >= vocab);
  if (foreign !== undefined)
    throw new UffbError(`token id ${foreign} is not in the model's vocabulary of ${vocab}`);
  const masks = maskId === undefined ? [] : rowsOf(maskId, ids);
  if (maskId !== undefined && masks.length === 0) {
    if (dropped > 0)
      throw new UffbError(
        `the mask lies beyond the ${maxLength} tokens that the model takes; shorten the text`,
      );
    throw new SystematicError(
      "no mask to fill",
      "write [MASK] where a word is missing, or use --embed for a sentence vector",
    );
  }
  return { item, ids, types: tokenTypes > 1 ? types : undefined, dropped, masks, skip };
}

/** The tokens of a text behind its prompt. */
export function encodeText(
  tokenizer: Tokenizer,
  text: string,
  { sentence, prompt = "" }: Pick<PrepareOptions, "sentence" | "prompt">,
  options: EncodeOptions,
): Encoding {
  return tokenizer.encode(prompt + text, { ...options, ...(sentence?.lowercase && { lowercase: true }) });
}

/**
 * How many of a text's tokens are the prompt's and not to be pooled, as sentence-transformers counts them: all that the prompt alone would
 * have, but for a special one at its end.
 */
function promptTokens(model: Model, tokenizer: Tokenizer, options: PrepareOptions): number {
  const { sentence, prompt = "" } = options;
  if (prompt === "" || sentence?.pooling.includesPrompt !== false) return 0;
  const { ids } = encodeText(tokenizer, "", options, { maxLength: longest(model, sentence) });
  return ids.length - (tokenizer.isSpecial(ids.at(-1)) ? 1 : 0);
}

/** @throws SystematicError for a pair where one text is wanted, and the other way round */
function checkTexts({ pair, ids }: Item, wanted: 1 | 2 | undefined): void {
  if (ids || wanted === undefined || (pair === undefined) === (wanted === 1)) return;
  throw wanted === 2
    ? new SystematicError(
        "one text, and the model compares two",
        "give the second with --pair, --pair-column or behind a tab, or add --force",
      )
    : new SystematicError("two texts, and the model takes one", "leave the second out, or add --force");
}

/** Most tokens of a text: what the model has positions for, or less where its sentence settings or else its tokenizer say so. */
export function longest(model: Model, sentence: SentenceSettings | undefined): number {
  const said = sentence?.maxLength ?? model.optionalTokenizer()?.maxLength;
  return Math.min(model.config.arch.maxLength, said ?? Number.POSITIVE_INFINITY);
}

/**
 * UltraFastBERT's classifiers were trained on pairs, so they read the pair template even for one text, with an empty second one: with the
 * template for one text (`A <sep>`) their first-token pooling would read a word. And a classifier has no use for masks: "[MASK]" is text
 * to it, as it is in GLUE.
 */
function template({ config }: Model, { pair }: Item): EncodeOptions {
  const classifies = config.task !== "mlm" && config.task !== "embedding";
  const second = pair ?? (classifies && config.family.emptyPair ? "" : undefined);
  return { ...(second !== undefined && { pair: second }), ...(classifies && { literal: true }) };
}

function cut(ids: Int32Array, maxLength: number): Encoding {
  const kept = ids.subarray(0, maxLength);
  return { ids: kept, types: new Int32Array(kept.length), dropped: ids.length - kept.length };
}

function findMaskId(model: Model, tokenizer: Tokenizer | undefined, options: PrepareOptions): number {
  if (options.maskId !== undefined) return options.maskId;
  if (!tokenizer) {
    throw new UffbError(
      `${model.source}: has no tokenizer.json to tell which id is the mask; give --mask-id, or use --embed`,
    );
  }
  const { mask } = tokenizer.specials;
  if (!mask) throw new UffbError(`${model.source}: its tokenizer has no mask to fill; use --embed`);
  return mask.id;
}

function rowsOf(id: number, ids: Int32Array): number[] {
  const rows: number[] = [];
  ids.forEach((value, row) => {
    if (value === id) rows.push(row);
  });
  return rows;
}
