import { setImmediate } from "node:timers/promises";
import { type ContenderInfo, contenderIsas, contenders, NativeBench } from "../../../ffi/bench.ts";
import { referenceIsa } from "../../../ffi/engine.ts";
import { UffbError } from "../../base/errors.ts";
import type { RunFacts } from "../measure/machine.ts";
import { neurons } from "../measure/presets.ts";
import type { BenchRecord } from "../measure/record.ts";
import { takeTurns } from "../measure/turns.ts";
import { benchShape, fill, type LayerCase, type Part, partsOf, takesPart } from "./parts.ts";
import { type Entry, toRecords } from "./record.ts";

/** Rows compared with the double-precision reference. */
const CHECKED = 16;
const MIN_ROUNDS = 5;
const MAX_ROUNDS = 400;
/** Most tokens timed of a dense contender that is not the fastest: one block of sgemm; fewer for contenders that read all weights for each token. */
const BLOCK = 1024;
const SAMPLE = 256;
/** Tokens of the trial call that decides how many to time; more for products of matrices. */
const TRY = 8;
const TRY_PRODUCT = 64;

/**
 * Measures a case. Every contender is checked against a double-precision evaluation, then tried; the fastest dense one of each kind
 * gets the whole batch, others as many tokens as fit. Then all take turns.
 *
 * @throws UffbError when a contender's result is wrong, or when memory does not suffice
 */
export async function measureLayer(
  one: LayerCase,
  facts: RunFacts,
  progress: (done: number) => void,
): Promise<BenchRecord[]> {
  const benches: NativeBench[] = [];
  try {
    const entries: Entry[] = [];
    for (const part of partsOf(one, facts)) {
      const bench = new NativeBench(benchShape(one, part, facts));
      benches.push(bench);
      fill(bench, part.layer, one.paths);
      entries.push(...(await enter(one, bench, part)));
    }
    await chooseTokens(entries, one);
    const turn = ({ bench, trial, samples }: Entry) => void samples.push(bench.run(trial, one.cache));
    await takeTurns(entries, turn, { seconds: one.seconds, least: MIN_ROUNDS, most: MAX_ROUNDS }, progress);
    return toRecords(entries, one, facts);
  } finally {
    for (const bench of benches) bench[Symbol.dispose]();
  }
}

/** The contenders of one layer, with each BLAS and instruction set they can have, checked. */
async function enter(one: LayerCase, bench: NativeBench, part: Part): Promise<Entry[]> {
  const { layer, dtype } = part;
  const entries: Entry[] = [];
  const reach = layer.trees > 0 ? bench.leaves() : null;
  for (const info of contenders().filter((info) => takesPart(info, one, part))) {
    const libraries = one.blas.filter(({ library }) => library.complete || info.level === 3);
    const variants = info.blas
      ? libraries.map((blas) => ({ blas, isa: undefined }))
      : contenderIsas().map((isa) => ({ blas: undefined, isa }));
    for (const { blas, isa } of variants) {
      await setImmediate(); // Ctrl-C
      const trial = { contender: info.index, blas: blas?.library, isa, tokens: Math.min(one.batch, TRY) };
      entries.push({
        info,
        bench,
        layer,
        dtype,
        blas,
        trial,
        reach,
        samples: [],
        ...check(info, bench, { ...trial, tokens: Math.min(one.batch, CHECKED) }, blas?.name ?? isa ?? ""),
      });
    }
  }
  return entries;
}

function check(info: ContenderInfo, bench: NativeBench, trial: Entry["trial"], by: string) {
  if (info.published) return { error: null, ties: null };
  const { error, ties } = bench.check(trial);
  // A chain of n sums errs by n eps at most, and by its root on the average; 1e-4 is far above either and far below a wrong result.
  if (!(error < 1e-4)) {
    throw new UffbError(`${info.name} (${by}) is wrong by ${error.toExponential(1)} and was not timed`);
  }
  return { error, ties };
}

const sharesNothing = ({ info, trial }: Entry) =>
  !info.fff && (info.level === 1 || info.level === 2 || trial.isa === referenceIsa());

/**
 * Sets the tokens of each call, drops all but the fastest BLAS of a contender (dense Level 3, the baseline, keeps them all), and gives
 * the fastest dense contenders the whole batch.
 */
async function chooseTokens(entries: Entry[], one: LayerCase): Promise<void> {
  const longest = one.seconds / 100;
  const fastest = new Map<string, { entry: Entry; time: number }>();
  const keep = (key: string, entry: Entry, time: number) => {
    if (time < (fastest.get(key)?.time ?? Number.POSITIVE_INFINITY)) fastest.set(key, { entry, time });
  };
  for (const entry of entries) {
    await setImmediate();
    const { info, bench, trial } = entry;
    const alone = sharesNothing(entry);
    if (!info.fff && !alone) trial.tokens = Math.min(one.batch, TRY_PRODUCT);
    // The first call of a library may also set it up.
    const faster = () => Math.min(...[1, 2].map(() => bench.run(trial, one.cache))) / trial.tokens;
    const tried = trial.tokens;
    const guess = faster();
    const most = info.fff ? one.batch : Math.min(one.batch, alone ? SAMPLE : BLOCK);
    const fit = Math.floor((alone ? longest / 10 : longest) / guess);
    trial.tokens = Math.max(Math.min(most, fit), Math.min(most, TRY));
    const time = trial.tokens === tried ? guess : faster();
    keep(`${info.name} ${entry.layer.width}`, entry, time);
    const contends = !info.fff && !info.published && entry.layer.width >= neurons(one.shape).all;
    if (contends && !alone) keep(`baseline ${info.name}`, entry, time);
    if (info.fff && !info.blas && trial.isa !== referenceIsa()) trial.tokens = one.batch;
  }
  for (const [key, { entry }] of fastest) if (key.startsWith("baseline")) entry.trial.tokens = one.batch;
  const dropped = entries.filter(
    (entry) =>
      entry.info.blas &&
      (entry.info.fff || entry.info.level < 3) &&
      fastest.get(`${entry.info.name} ${entry.layer.width}`)?.entry !== entry,
  );
  for (const entry of dropped) entries.splice(entries.indexOf(entry), 1);
}
