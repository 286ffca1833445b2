import { setImmediate } from "node:timers/promises";

export interface Turns {
  /** Seconds to spend, about. */
  seconds: number;
  /** Rounds of all, at least and at most. */
  least: number;
  most: number;
}

/**
 * Lets contenders take turns, A B C A B C, until the time is up, so that disturbances by other programs hit all of them alike. `progress`
 * gets the share that is done.
 */
export async function takeTurns<T>(
  contenders: readonly T[],
  turn: (contender: T, round: number) => Promise<void> | void,
  { seconds, least, most }: Turns,
  progress: (done: number) => void,
): Promise<void> {
  const start = performance.now();
  const spent = () => (performance.now() - start) / 1000;
  for (let round = 0; round < most; round++) {
    for (const [i, contender] of contenders.entries()) {
      await setImmediate(); // lets Ctrl-C through
      await turn(contender, round);
      const rounds = round + (i + 1) / contenders.length;
      progress(Math.min(1, rounds / least, Math.max(spent() / seconds, rounds / most)));
    }
    if (round + 1 >= least && spent() > seconds) return;
  }
}
