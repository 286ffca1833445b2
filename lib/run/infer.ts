import type { Pooling } from "../../ffi/context.ts";
import { CancelledError, ChangedError } from "../../ffi/status.ts";
import { UsageError } from "../base/errors.ts";
import type { Model } from "../model/model.ts";
import { BATCH_TOKENS, batches, DEVICE_BATCH_TOKENS, ragged } from "../text/batches.ts";
import { type BadItem, bad, badItem, type Item } from "../text/input/input.ts";
import { Cancellation } from "./cancel.ts";
import { type Device, openContext } from "./device.ts";
import type { Aggregation } from "./entities.ts";
import { faultOf } from "./finite.ts";
import { HEADS, type HeadOptions, type Result, type Task } from "./heads.ts";
import { type Prepared, prepare } from "./prepare.ts";
import { promptFor } from "./prompt.ts";
import { vectorMaker } from "./vectors.ts";

export type { Result, Task } from "./heads.ts";
export { POOLINGS } from "./vectors.ts";

export interface InferOptions {
  /** Candidates for each mask, at least 1. */
  topK?: number;
  /** Least probability of a label that is given, where several can be true; a half when absent. */
  threshold?: number;
  /** How labels of tokens become entities; "simple" when absent. */
  aggregate?: Aggregation;
  /**
   * Give sentence vectors, instead of what the model was trained for. A model of sentence-transformers then says itself how it makes them
   * and reads a text; another's vectors are means, as they come.
   */
  embed?: boolean;
  /** Of sentence vectors, instead of the model's own. */
  pooling?: Pooling;
  /** What stands before each text; the model's own usual prompt when absent. */
  prompt?: string;
  /** Cut what is longer than the model takes (the default), or report it as bad. */
  truncate?: boolean;
  /** Texts that each item is to have; others are bad. Any number when absent. */
  texts?: 1 | 2 | undefined;
  /** The mask's id, for a model without tokenizer. */
  maskId?: number;
  /** Most tokens in a batch; an input longer than that has one of its own. It changes speed, never a result. */
  batchTokens?: number;
  /** CPU threads; 0 for all that this process may use. */
  threads?: number;
  /** Instruction set; the best one when absent. */
  isa?: string;
  /** Where the encoder runs; the CPU when absent. A device's sums are of another order: results agree within its dtype's precision. */
  device?: Device;
  /** Vectors with an element of this magnitude or more are errors, as for numbers too narrow to hold it; none is when absent. */
  limit?: number;
  /** Stops the running batch, and then throws CancelledError. */
  signal?: AbortSignal;
}

/** Candidates or labels of a result that weigh as much as a token in a batch: some thousand masks with five hold no more than its states. */
const NUMBERS_PER_TOKEN = 2048;

const TRAINED_FOR: Record<Exclude<Model["config"]["task"], "other">, Task> = {
  mlm: "fill-mask",
  classification: "classify",
  "multi-label": "classify",
  regression: "regress",
  tokens: "tag",
  embedding: "embed",
};

/** What `infer` does with a model. @throws UsageError for one with an unknown head, unless it is to `embed` */
export function taskOf({ config, source }: Model, embed = false): Task {
  if (embed) return "embed";
  if (config.task !== "other") return TRAINED_FOR[config.task];
  throw new UsageError(
    `${source}: the head of a ${config.architecture} is not supported; --embed gives vectors of its encoder`,
  );
}

/** Texts that an input has, where the model tells. */
export function textsOf(model: Model, embed = false): 1 | 2 | undefined {
  const task = taskOf(model, embed);
  if (task === "embed") return model.sentence() && 1;
  if (task === "tag") return 1;
  return task === "fill-mask" ? undefined : model.config.texts;
}

/**
 * Runs a stream of items through a model: one result, or one BadItem, for each, in the order of input, in arrays of a batch. Memory does
 * not grow with the stream: while the engine runs a batch on its own threads, the next one is read and tokenised, and nothing beyond.
 * @throws UffbError when the model lacks a tokenizer that the items need, or the stream fails
 */
export async function* infer(
  model: Model,
  items: AsyncIterable<Item | BadItem>,
  options: InferOptions = {},
): AsyncGenerator<(Result | BadItem)[]> {
  const task = taskOf(model, options.embed);
  const { topK = 5, truncate = true, maskId, signal, isa, device } = options;
  const { limit = Number.POSITIVE_INFINITY } = options;
  const batchTokens = options.batchTokens ?? (device ? DEVICE_BATCH_TOKENS : BATCH_TOKENS);
  const embeds = task === "embed";
  const headOptions: HeadOptions = {
    topK,
    threshold: options.threshold ?? 0.5,
    aggregate: options.aggregate ?? "simple",
    vectors: embeds ? vectorMaker(model, options.pooling) : undefined,
  };
  using context = openContext(model.native, { threads: options.threads ?? 0, isa, device });
  using cancellation = new Cancellation(context, signal);
  const prepared = prepare(model, items, {
    fill: task === "fill-mask",
    truncate,
    maskId,
    sentence: embeds ? model.sentence() : undefined,
    prompt: options.prompt ?? promptFor(model, { embeds }),
    texts: options.texts,
  });
  const { labels, vocab } = model.config.arch;
  const weight = (entry: Prepared | BadItem) => {
    if ("error" in entry) return 1;
    const numbers =
      task === "fill-mask" ? entry.masks.length * Math.min(topK, vocab) : task === "classify" ? labels : 0;
    return Math.max(entry.ids.length, Math.ceil(numbers / NUMBERS_PER_TOKEN));
  };
  const groups = batches(prepared, { weight, budget: batchTokens });
  const run = async (batch: Prepared[]): Promise<(Result | BadItem)[]> => {
    try {
      await context.encode(ragged(batch));
      const results = await HEADS[task](model, context, batch, headOptions);
      return results.map((result) => {
        const error = faultOf(result, limit);
        return error === undefined ? result : bad(result.item, error);
      });
    } catch (error) {
      if (error instanceof CancelledError || error instanceof ChangedError) throw error;
      const [first, ...others] = batch as [Prepared, ...Prepared[]];
      if (others.length === 0) return [badItem(first.item, error)];
      // One of them is to blame, and the others have results.
      const alone: (Result | BadItem)[] = [];
      for (const entry of batch) alone.push(...(await run([entry])));
      return alone;
    }
  };
  try {
    let next = groups.next();
    for (;;) {
      const { value: group, done } = await next;
      if (done) return;
      const batch = group.filter((entry) => "ids" in entry);
      const running = batch.length > 0 ? run(batch) : Promise.resolve([]);
      next = groups.next();
      next.catch(() => {}); // its failure is thrown where it is awaited, after this batch's results
      const results = (await running).values();
      cancellation.check();
      yield group.map((entry) => ("ids" in entry ? results.next().value! : entry));
    }
  } finally {
    groups.return(undefined).catch(() => {});
  }
}
