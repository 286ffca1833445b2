import { Random } from "../../base/random.ts";
import type { Target } from "./labels.ts";

/** Parts of equal size that scores are cut into, each of which gives its share. */
const SCORE_BANDS = 10;

/**
 * Which of the examples are held out: of each class, of each set of labels, or of each tenth of the scores about `share`, and of each at
 * least one is left to train on. The same seed gives the same split. Numbers ascend.
 */
export function holdOut(targets: readonly Target[], kind: string, share: number, seed: number): number[] {
  const random = new Random(seed, "split");
  const strata = Map.groupBy(targets.keys(), strataOf(targets, kind));
  const held: number[] = [];
  let owed = 0; // what rounding has kept from the classes before
  for (const key of [...strata.keys()].toSorted()) {
    const members = strata.get(key)!;
    owed += share * members.length;
    const count = Math.min(Math.max(Math.round(owed), 0), members.length - 1);
    owed -= count;
    const order = random.permutation(members.length);
    for (let i = 0; i < count; i++) held.push(members[order[i]!]!);
  }
  return held.sort((a, b) => a - b);
}

function strataOf(targets: readonly Target[], kind: string): (index: number) => string {
  if (kind !== "regression") return (index) => String(targets[index]);
  const ranked = [...targets.keys()].sort((a, b) => Number(targets[a]) - Number(targets[b]) || a - b);
  const bands = new Map(
    ranked.map((index, rank) => [index, Math.floor((rank * SCORE_BANDS) / ranked.length)]),
  );
  return (index) => String(bands.get(index));
}
