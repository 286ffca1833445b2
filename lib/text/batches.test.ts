import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { batches, group, ragged } from "./batches.ts";

async function* stream<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

const weigh = (budget: number) => ({ weight: (item: number) => item, budget });

describe("batches", () => {
  test("hold every item in order, as many as the budget allows", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(30)), fc.integer({ min: 1, max: 40 }), async (items, budget) => {
        const found = await Array.fromAsync(batches(stream(items), weigh(budget)));
        expect([...group(items, weigh(budget))]).toEqual(found);
        expect(found.flat()).toEqual(items);
        const weights = found.map((batch) => batch.reduce((sum, item) => sum + Math.max(1, item), 0));
        found.forEach((batch, i) => {
          expect(batch.length).toBeGreaterThan(0);
          if (batch.length > 1) expect(weights[i]).toBeLessThanOrEqual(budget);
          const next = found[i + 1]?.[0];
          if (next !== undefined) expect(weights[i]! + Math.max(1, next)).toBeGreaterThan(budget);
        });
      }),
    );
  });

  test("do not wait for input that does not come", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    async function* slow() {
      yield 1;
      yield 2;
      await promise;
      yield 3;
    }
    const found = batches(slow(), weigh(100));
    expect((await found.next()).value).toEqual([1, 2]);
    resolve();
    expect((await found.next()).value).toEqual([3]);
    expect((await found.next()).done).toBe(true);
  });

  test("give what came before a failure, and then the failure", async () => {
    async function* broken() {
      yield 1;
      throw new Error("broken");
    }
    const found = batches(broken(), weigh(100));
    expect((await found.next()).value).toEqual([1]);
    await expect(found.next()).rejects.toThrow("broken");
  });

  test("end their source when nobody wants more", async () => {
    const ended = Promise.withResolvers<string>();
    async function* source() {
      try {
        for (let i = 1; ; i++) yield i;
      } finally {
        ended.resolve("ended");
      }
    }
    for await (const batch of batches(source(), weigh(3))) {
      expect(batch).toEqual([1, 2]);
      break;
    }
    expect(await ended.promise).toBe("ended");
  });
});

describe("ragged", () => {
  test("concatenates without padding", () => {
    const one = { ids: Int32Array.of(1, 2), types: Int32Array.of(0, 0) };
    const two = { ids: Int32Array.of(3), types: Int32Array.of(1) };
    expect(ragged([one, { ids: new Int32Array(0) }, two])).toEqual({
      offsets: BigInt64Array.of(0n, 2n, 2n, 3n),
      ids: Int32Array.of(1, 2, 3),
      types: Int32Array.of(0, 0, 1),
    });
    expect(ragged([one, { ids: two.ids }])).toEqual({
      offsets: BigInt64Array.of(0n, 2n, 3n),
      ids: Int32Array.of(1, 2, 3),
    });
    expect(ragged([]).offsets).toEqual(BigInt64Array.of(0n));
  });
});
