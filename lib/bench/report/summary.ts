/** What a run says in a sentence or two. */
import { largest } from "../../base/numbers.ts";
import { PAPER_SPEEDUPS } from "../measure/presets.ts";
import type { BenchRecord } from "../measure/record.ts";
import { times } from "./table.ts";

/** "" where nothing was compared. */
export function summaryText(records: readonly BenchRecord[]): string {
  const shown = records.filter(({ trees, published, padded }) => trees > 0 && !published && !padded);
  const layers = shown.filter(({ kind }) => kind === "layer");
  const parts = [
    range(
      "the layer",
      bestOfCases(layers, ({ speedup_fastest_dense: got }) => got),
    ),
    range(
      "the encoder",
      bestOfCases(modelsOf(shown), ({ speedup_fastest_dense: got }) => got),
    ),
  ].filter((part) => part !== "");
  if (parts.length === 0) return "";
  const fastest = `Against the fastest dense one, FFF makes ${parts.join(", and ")}.`;
  const isPaper = layers.some(({ shape, hidden }) => shape === "1x11" && hidden === 768);
  return [fastest, sameLevel(layers), isPaper ? PAPER_SENTENCE : ""].filter((part) => part !== "").join(" ");
}

const modelsOf = (records: readonly BenchRecord[]) => records.filter(({ kind }) => kind === "model");

const PAPER_SENTENCE = `The paper has ${PAPER_SPEEDUPS.sameLevel}x at Level 2 and ${PAPER_SPEEDUPS.fastestDense}x against the fastest dense layer, of ${PAPER_SPEEDUPS.limit}x that arithmetic allows.`;

/** The largest of each case: a shape, batch, state of the caches and number of threads. */
function bestOfCases(
  records: readonly BenchRecord[],
  speedup: (record: BenchRecord) => number | null,
): number[] {
  const cases = Map.groupBy(records, (one) =>
    [one.case_shape, one.hidden, one.batch, one.length, one.cache, one.threads, one.device, one.dtype].join(),
  );
  return [...cases.values()].flatMap((some) => {
    const found = some.map(speedup).filter((value) => value !== null);
    return found.length === 0 ? [] : [largest(found)];
  });
}

/** "the layer 45 to 202 times as fast" */
function range(what: string, values: readonly number[]): string {
  if (values.length === 0) return "";
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => times(value).slice(0, -1));
  return `${what} ${least === most ? least : `${least} to ${most}`} times as fast`;
}

/** Made of calls of one BLAS level, against a dense layer made of such calls. */
function sameLevel(layers: readonly BenchRecord[]): string {
  const levels = [1, 2, 3].flatMap((level) => {
    const own = layers.filter((record) => record.level === level);
    const values = bestOfCases(own, ({ speedup_same_level: got }) => got);
    return values.length === 0 ? [] : [`Level ${level} ${spread(values)}`];
  });
  return levels.length === 0 ? "" : `At the same BLAS level: ${levels.join(", ")}.`;
}

function spread(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return times(least) === times(most) ? times(most) : `${times(least)} to ${times(most)}`;
}
