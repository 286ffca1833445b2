/** What is known of each model: how well it predicts text that was held out, and how long it takes. */
import { existsSync } from "node:fs";
import { isObject, tryJson } from "../../base/json.ts";
import { readRegularText } from "../../base/read.ts";
import { deviation, mean } from "../../base/statistics.ts";
import type { Plan } from "./plan.ts";

/** One contender trained with one seed: a file of its own. */
export interface Trained {
  name: string;
  seed: number;
  /** On held-out text: mean over its predictions, in nats, and the share that the model holds likeliest. */
  loss: number;
  accuracy: number;
  tokens: number;
  parameters: number;
  /** Of routing, the mean of the layers, in bits; absent without trees. */
  bits?: number;
  seconds: number;
  tokens_per_second: number;
}

/** Of a contender, which its seeds share: seconds a token, each the median of several runs. */
export interface Timed {
  /** One sequence at a time, and many. */
  alone: number;
  batched: number;
}

/** A mean over seeds, and how far they are apart. */
export interface Spread {
  mean: number;
  /** Standard deviation of the seeds; 0 for one alone. */
  deviation: number;
}

/** A row of the results. */
export interface Row extends Timed {
  name: string;
  active: number;
  seeds: number;
  parameters: number;
  loss: Spread;
  /** Of each seed, in order: those of two models with one seed were trained on the same text in the same order. */
  losses: number[];
  accuracy: Spread;
  bits: number | undefined;
}

export function spread(values: readonly number[]): Spread {
  return { mean: mean(values), deviation: values.length > 1 ? deviation(values) : 0 };
}

/** The contenders that are trained and timed, in the plan's order. */
export function rowsOf(plan: Plan, trained: readonly Trained[], times: ReadonlyMap<string, Timed>): Row[] {
  return plan.contenders.flatMap(({ name, active }) => {
    const own = trained.filter((one) => one.name === name);
    const time = times.get(name);
    if (own.length === 0 || time === undefined) return [];
    const bits = own.flatMap(({ bits }) => (bits === undefined ? [] : [bits]));
    return {
      name,
      active,
      seeds: own.length,
      parameters: own[0]!.parameters,
      loss: spread(own.map(({ loss }) => loss)),
      losses: own.map(({ loss }) => loss),
      accuracy: spread(own.map(({ accuracy }) => accuracy)),
      bits: bits.length > 0 ? spread(bits).mean : undefined,
      ...time,
    };
  });
}

/** What lies in a file of a model that is trained, or undefined where there is none yet. */
export function readTrained(path: string): Trained | undefined {
  if (!existsSync(path)) return undefined;
  const read = tryJson(readRegularText(path, { most: 1 << 20 }));
  if (!("value" in read) || !isObject(read.value)) return undefined;
  const { name, seed, loss, accuracy } = read.value;
  const whole = typeof name === "string" && [seed, loss, accuracy].every(Number.isFinite);
  return whole ? (read.value as unknown as Trained) : undefined;
}
