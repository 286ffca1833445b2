/** Times of rungs taken in turn, so that what disturbs the machine hits all of them alike. */
import { cpuCount, isas } from "../../ffi/engine.ts";
import { CancelledError } from "../../ffi/status.ts";
import { UffbError } from "../base/errors.ts";
import { readObject } from "../base/json.ts";
import { median } from "../base/statistics.ts";
import { writeWhole } from "../base/write.ts";
import { describeMachine } from "../bench/measure/machine.ts";
import { takeTurns } from "../bench/measure/turns.ts";
import { checkStopped, dataHash, hashJson, hashOf, type LadderJob, textIfThere } from "./job.ts";
import type { Runner } from "./runner.ts";

/** What is to be timed. */
export interface Contender {
  /** For people, and what tells it from others with the same model. */
  title: string;
  model: string;
  /** What it throws as an UffbError leaves it out, where it may be left out. */
  open(): Promise<Runner>;
  mayFail?: boolean;
}

/** What was measured of one. */
export interface Timed {
  /** For the whole dev set, from tokens to logits: the median of the rounds. */
  seconds: number;
  /** The same of each round. */
  rounds: number[];
  /** Examples of the dev set that each round ran. */
  examples: number;
  /** The task's metric. */
  score: number;
}

/** What is kept of one: `failed` says why it does not run. */
interface Kept {
  rounds: number[];
  examples: number;
  score: number;
  failed?: string;
}

/**
 * Runs all of them in turn, A B C A B C, `job.repeat` rounds. Rounds that are in the file `path` already, of the same contenders on the
 * same machine, are not run again.
 * @returns in their order; why one does not run, in its place
 * @throws CancelledError; UffbError of one that may not fail
 */
export async function timeInTurn(
  job: LadderJob,
  contenders: readonly Contender[],
  path: string,
): Promise<(Timed | string)[]> {
  const key = hashJson({
    contenders: contenders.map(({ title, model }) => [title, hashOf(model)]),
    data: dataHash(job.dev),
    cpu: describeMachine().cpu,
    isas: isas(),
    cores: cpuCount(),
    python: job.python,
  });
  const text = textIfThere(path);
  const found = text === undefined ? undefined : readObject(text, path);
  let kept = found?.key === key ? (found.kept as unknown as Kept[]) : undefined;
  const save = () => writeWhole(path, `${JSON.stringify({ key, kept }, null, 2)}\n`);
  const missing = job.repeat - (kept?.find(({ failed }) => failed === undefined)?.rounds.length ?? 0);
  if (missing > 0) {
    await using open = new AsyncDisposableStack();
    const runners: (Runner | string)[] = [];
    for (const contender of contenders) {
      checkStopped(job);
      const runner = await openOrFail(contender);
      runners.push(typeof runner === "string" ? runner : open.use(runner));
    }
    kept = runners.map((runner, i) => {
      if (typeof runner === "string") return { rounds: [], examples: 0, score: 0, failed: runner };
      const { score, examples } = runner;
      return { rounds: kept?.[i]?.rounds ?? [], examples, score };
    });
    await takeRounds(job, contenders, runners, missing, async (round) => {
      for (const [i, seconds] of round) kept![i]!.rounds.push(seconds);
      await save();
    });
  }
  return kept!.map(({ failed, rounds, examples, score }) => {
    if (failed !== undefined) return failed;
    const counted = rounds.slice(0, job.repeat);
    return { seconds: median(counted), rounds: counted, examples, score };
  });
}

/** @returns why it does not run, where it may fail and does */
async function openOrFail({ open, mayFail }: Contender): Promise<Runner | string> {
  try {
    return await open();
  } catch (error) {
    if (!mayFail || !(error instanceof UffbError) || error instanceof CancelledError) throw error;
    return error.message;
  }
}

/** @param onRound gets each runner's seconds for the whole dev set, after a round of all */
async function takeRounds(
  job: LadderJob,
  contenders: readonly Contender[],
  runners: readonly (Runner | string)[],
  rounds: number,
  onRound: (seconds: readonly [number, number][]) => Promise<void>,
): Promise<void> {
  const ready = [...runners.entries()].flatMap(([i, runner]) =>
    typeof runner === "string" ? [] : [{ i, runner }],
  );
  const all = job.dev.examples.length;
  let round: [number, number][] = [];
  const turn = async ({ i, runner }: (typeof ready)[number]) => {
    checkStopped(job);
    const { title } = contenders[i]!;
    const seconds = await runner.turn((done, total) => job.onProgress(title, done, total));
    round.push([i, (seconds * all) / runner.examples]);
    if (round.length < ready.length) return;
    await onRound(round);
    round = [];
  };
  await takeTurns(ready, turn, { seconds: Infinity, least: rounds, most: rounds }, () => {});
}
