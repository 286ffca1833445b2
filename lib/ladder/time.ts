/** Seconds and score of a model on the dev set, its texts one at a time. */
import { quantile } from "../base/statistics.ts";
import { prepare } from "../eval/glue/evaluate.ts";
import { predict } from "../eval/glue/predictions.ts";
import { run } from "../eval/glue/run.ts";
import { numberGroups, score } from "../eval/metrics.ts";
import { openModel } from "../model/model.ts";
import { checkStopped, type LadderJob } from "./job.ts";
import { type Python, runTorch } from "./torch.ts";

/** What a rung measured. */
export interface Timed {
  /** For the whole dev set, from tokens to logits: the median of the runs. */
  seconds: number;
  /** Of each run. */
  runs: number[];
  /** The task's metric. */
  score: number;
}

/** Seconds after which no further run of the dev set begins. */
const ENOUGH = 60;
/** Texts that are run first, so that the weights are in memory. */
const WARM_UP = 8;

export interface EngineWay {
  /** Tokens that every input is padded to; its own length when absent. */
  padTo?: number;
  /** Engines of one thread each; one when absent. */
  instances?: number;
}

/** In this engine, on one thread for each instance. */
export async function timeEngine(
  job: LadderJob,
  path: string,
  title: string,
  { padTo, instances = 1 }: EngineWay,
): Promise<Timed> {
  using model = await openModel(path);
  const { inputs, order } = prepare(model, job.dev);
  const options = { instances, batchTokens: 1, padTo };
  await run(model, inputs.slice(0, WARM_UP), options);
  const runs: number[] = [];
  let logits = new Float32Array();
  while (runs.length < job.repeat && sum(runs) < ENOUGH) {
    const onProgress = (done: number) => {
      checkStopped(job);
      job.onProgress(title, done, inputs.length);
    };
    const found = await run(model, inputs, { ...options, onProgress });
    runs.push(found.seconds);
    logits = found.logits as Float32Array<ArrayBuffer>;
  }
  const logitOf = (example: number, column: number) => logits[example * order.length + column]!;
  return { seconds: quantile(runs, 0.5), runs, score: scoreOf(job, order, logitOf) };
}

/** In PyTorch, on one thread. */
export async function timeTorch(
  job: LadderJob,
  python: Python,
  path: string,
  length: number,
): Promise<Timed> {
  using model = await openModel(path);
  const { inputs, order } = prepare(model, job.dev);
  const pad = model.tokenizer().specials.pad?.id ?? 0;
  const { repeat, signal } = job;
  const found = await runTorch(python, { model: path, inputs, length, pad, repeat, enough: ENOUGH, signal });
  const score = scoreOf(job, order, (example, column) => found.logits[example]![column]!);
  return { seconds: quantile(found.seconds, 0.5), runs: found.seconds, score };
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

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
