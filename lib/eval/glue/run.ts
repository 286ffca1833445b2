import type { NativeContext } from "../../../ffi/context.ts";
import { UffbError } from "../../base/errors.ts";
import type { Model } from "../../model/model.ts";
import { type Device, openContext } from "../../run/device.ts";
import { areFinite, NOT_FINITE } from "../../run/finite.ts";
import { BATCH_TOKENS, DEVICE_BATCH_TOKENS, group, ragged } from "../../text/batches.ts";

/** The tokens of one example. */
export interface Input {
  ids: Int32Array;
  types?: Int32Array;
}

/** What is read off a batch that a context has encoded. */
export interface Head {
  /** Numbers for each sequence. */
  width: number;
  /** [sequences, width] */
  read(context: NativeContext): Promise<Float32Array>;
}

export interface RunOptions {
  /** The classification head when absent. */
  head?: Head | undefined;
  /** CPU threads of the one engine; 0 for all that this process may use. Instances have one each. */
  threads?: number | undefined;
  /** Engines over the one model, each on a thread of its own with its own batches; one on all `threads` when absent. */
  instances?: number | undefined;
  /** Where the encoder runs; the CPU when absent. Instances have a copy of the weights there each. */
  device?: Device | undefined;
  /** Most tokens in a batch. It changes speed, never a result. */
  batchTokens?: number | undefined;
  /**
   * Pads each input to this many tokens, to show what dynamic length is worth. The engine knows no padding, so the pad tokens run as a
   * sequence of their own beside each input, whose result is thrown away: every layer does the work that padding costs (attention does
   * a little less of it, since pads and tokens do not meet), and results stay the same.
   */
  padTo?: number | undefined;
  /** Called after each batch with the number of examples that are done. */
  onProgress?: ((done: number) => void) | undefined;
}

export interface Run {
  /** [inputs, width of the head], in the order of the inputs; for classes in the model's own order of labels. */
  logits: Float32Array;
  /** Of the engine's work: tokens in, logits out. */
  seconds: number;
  /** Tokens of the inputs; padding not counted. */
  tokens: number;
  threads: number;
  instances: number;
  isa: string;
  /** Where the encoder ran, when that was not the CPU. */
  device?: Device | undefined;
}

/**
 * Runs inputs through a head of the model. Neither batches nor threads nor instances change a logit.
 * @throws UffbError naming an input for which the model gives no finite number: no score could be made of it
 */
export async function run(model: Model, inputs: readonly Input[], options: RunOptions = {}): Promise<Run> {
  const { device, padTo, onProgress } = options;
  const batchTokens = options.batchTokens ?? (device ? DEVICE_BATCH_TOKENS : BATCH_TOKENS);
  const instances = options.instances ?? 1;
  const threads = options.instances === undefined ? (options.threads ?? 0) : 1;
  const classes: Head = { width: model.config.arch.labels, read: (context) => context.classify() };
  const { width, read } = options.head ?? classes;
  const logits = new Float32Array(inputs.length * width);
  const padding =
    padTo === undefined ? undefined : new Int32Array(padTo).fill(model.tokenizer().specials.pad?.id ?? 0);
  const queue = batchesOf(inputs, batchTokens, padTo).values();
  using owned = new DisposableStack();
  const contexts = Array.from({ length: instances }, () =>
    owned.use(openContext(model.native, { threads, device })),
  );
  let done = 0;
  let failed = false;

  const work = async (context: NativeContext) => {
    for (const batch of queue) {
      if (failed) return;
      const sequences = batch.flatMap((i) => padded(inputs[i]!, padding));
      try {
        await context.encode(ragged(sequences.map(({ input }) => input)));
        const found = await read(context);
        let next = 0;
        sequences.forEach(({ pads }, s) => {
          if (pads) return;
          const example = batch[next++]!;
          const row = found.subarray(s * width, (s + 1) * width);
          if (!areFinite(row)) throw new UffbError(`${model.source}: example ${example + 1}: ${NOT_FINITE}`);
          logits.set(row, example * width);
        });
      } catch (error) {
        failed = true;
        throw error;
      }
      done += batch.length;
      onProgress?.(done);
    }
  };

  const start = performance.now();
  // All of them end before their contexts are freed, also when one fails.
  const ends = await Promise.allSettled(contexts.map(work));
  const seconds = (performance.now() - start) / 1000;
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  const [first] = contexts;
  const tokens = inputs.reduce((sum, { ids }) => sum + ids.length, 0);
  return { logits, seconds, tokens, threads: first!.threads, instances, isa: first!.isa, device };
}

/**
 * Numbers of inputs, batch by batch, the longest first: the batches of several instances then end together, and the largest batch comes
 * when memory is claimed.
 */
function batchesOf(inputs: readonly Input[], budget: number, padTo = 0): number[][] {
  const cost = (i: number) => Math.max(padTo, inputs[i]!.ids.length);
  const order = inputs
    .map((_, i) => i)
    .sort((a, b) => inputs[b]!.ids.length - inputs[a]!.ids.length || a - b);
  return [...group(order, { weight: cost, budget })];
}

/** The input, and after it the pad tokens that bring it to full length, if it is padded and shorter. */
function padded(input: Input, padding: Int32Array | undefined): { input: Input; pads: boolean }[] {
  const missing = (padding?.length ?? 0) - input.ids.length;
  if (missing <= 0) return [{ input, pads: false }];
  return [
    { input, pads: false },
    { input: { ids: padding!.subarray(0, missing) }, pads: true },
  ];
}
