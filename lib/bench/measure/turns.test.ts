import { expect, test } from "bun:test";
import { takeTurns } from "./turns.ts";

test("contenders take turns, as often as they must or may", async () => {
  for (const [seconds, rounds] of [
    [0, 2],
    [3600, 4],
  ] as const) {
    const turns: string[] = [];
    const shares: number[] = [];
    const turn = (name: string, round: number) => void turns.push(`${name}${round}`);
    await takeTurns(["a", "b"], turn, { seconds, least: 2, most: 4 }, (done) => void shares.push(done));
    expect(turns).toEqual(["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"].slice(0, 2 * rounds));
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
  }
});
