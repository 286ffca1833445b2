/** A model that runs the dev set again and again, its texts one at a time. */
import { cpuCount } from "../../ffi/engine.ts";
import { prepare } from "../eval/glue/evaluate.ts";
import { predict } from "../eval/glue/predictions.ts";
import { run } from "../eval/glue/run.ts";
import { numberGroups, score } from "../eval/metrics.ts";
import { openModel } from "../model/model.ts";
import { checkStopped, type LadderJob } from "./job.ts";
import { openPeer, type Python } from "./torch.ts";

export interface Runner extends AsyncDisposable {
  /** The task's metric over the dev set. */
  score: number;
  /** Examples that a turn runs. */
  examples: number;
  /** Seconds of a turn, from tokens to logits. */
  turn(onProgress: (done: number, total: number) => void): Promise<number>;
}

/** Texts that run before the clock does, so that the weights are in memory. */
const WARM_UP = 8;
/** Texts of a turn where all are padded to one length, and so cost the same. */
const PADDED = 64;

/** Every so many-th, so that about PADDED are left. */
const sampled = <T>(all: readonly T[]): T[] => {
  const step = Math.ceil(all.length / PADDED);
  return all.filter((_, i) => i % step === 0);
};

export interface EngineWay {
  /** Tokens that every input is padded to; its own length when absent. */
  padTo?: number;
  /** Engines of one thread each; one when absent. */
  instances?: number;
}

/** In this engine, on one thread for each instance. */
export async function openEngine(
  job: LadderJob,
  path: string,
  { padTo, instances = 1 }: EngineWay,
): Promise<Runner> {
  const model = await openModel(path);
  try {
    const { inputs, order } = prepare(model, job.dev);
    const { logits } = await run(model, inputs, {
      instances: cpuCount(),
      onProgress: () => checkStopped(job),
    });
    const width = order.length;
    const timed = padTo === undefined ? inputs : sampled(inputs);
    const options = { instances, batchTokens: 1, padTo };
    return {
      score: scoreOf(job, order, (example, column) => logits[example * width + column]!),
      examples: timed.length,
      async turn(onProgress) {
        await run(model, timed.slice(0, WARM_UP), options);
        const progress = (done: number) => {
          checkStopped(job);
          onProgress(done, timed.length);
        };
        return (await run(model, timed, { ...options, onProgress: progress })).seconds;
      },
      async [Symbol.asyncDispose]() {
        model[Symbol.dispose]();
      },
    };
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

/** In PyTorch, on one thread, padded to `length`. @throws UffbError where the model does not run there; CancelledError */
export async function openTorch(
  job: LadderJob,
  python: Python,
  path: string,
  length: number,
): Promise<Runner> {
  using model = await openModel(path);
  const { inputs, order } = prepare(model, job.dev);
  const pad = model.tokenizer().specials.pad?.id ?? 0;
  const timed = sampled(inputs);
  const peer = await openPeer(python, { model: path, inputs, timed, length, pad, signal: job.signal });
  return {
    score: scoreOf(job, order, (example, column) => peer.logits[example]![column]!),
    examples: timed.length,
    turn: () => peer.turn(),
    [Symbol.asyncDispose]: () => peer.close(),
  };
}

/** The task's metric. @param order the model's label of each class */
function scoreOf(
  { dev: { task, examples } }: LadderJob,
  order: readonly number[],
  logitOf: (example: number, column: number) => number,
): number {
  const labels = Float64Array.from(examples, ({ label }) => label!);
  const predictions = Float64Array.from(examples, (_, i) =>
    predict(order.map((column) => logitOf(i, column))),
  );
  const groups = task.group && numberGroups(examples.map(({ group }) => group!));
  return score(task.metrics[0]!, { labels, predictions, ...(groups && { groups }) });
}
