import { expect, test } from "bun:test";
import fc from "fast-check";
import { forgeParquet } from "../../testing/parquet.ts";
import { readParquet } from "./parquet.ts";

const read = (bytes: Uint8Array<ArrayBuffer>) => readParquet(bytes, "x.parquet");

test("an honest file is read", async () => {
  const rows = await read(forgeParquet(3, [{ name: "a" }, { name: "b" }], "text"));
  expect(rows.map((row) => [row.line, row.get(["a"]), row.get(["b"]), row.get(["c"])])).toEqual([
    [1, "text", "text", undefined],
    [2, "text", "text", undefined],
    [3, "text", "text", undefined],
  ]);
});

test.each([
  ["rows", forgeParquet(9_999_999, [{ name: "a" }, { name: "b" }]), "it claims 9999999 rows of 2 columns in"],
  ["a run", forgeParquet(5, [{ name: "a", run: 2 ** 30 }]), "a run is longer than its page"],
  [
    "values",
    forgeParquet(5, [{ name: "a", run: 10_000, claimed: 10_000 }]),
    "more values than there are rows",
  ],
  ["a page", forgeParquet(5, [{ name: "a", codec: 1, unpacked: 2 ** 30 }]), "a page claims to be far larger"],
  [
    "columns",
    forgeParquet(
      9000,
      Array.from({ length: 900 }, (_, i) => ({ name: `c${i}` })),
    ),
    "it claims 9000 rows of 900",
  ],
])("%s beyond what the bytes can hold", async (_, bytes, message) => {
  await expect(read(bytes)).rejects.toThrow(message);
});

test("whatever a file claims, it is read or refused, with no more rows than it may have", async () => {
  const count = fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 2 ** 31 - 1 }));
  const column = fc.record(
    {
      name: fc.constantFrom("a", "b", "c"),
      run: count,
      claimed: count,
      codec: fc.integer({ min: 0, max: 2 }),
      unpacked: count,
    },
    { requiredKeys: ["name"] },
  );
  await fc.assert(
    fc.asyncProperty(count, fc.array(column, { minLength: 1, maxLength: 3 }), async (rows, columns) => {
      const bytes = forgeParquet(rows, columns);
      const result = await read(bytes).catch((error: Error) => error.message);
      if (typeof result === "string") expect(result).toStartWith("x.parquet: cannot be read as parquet (");
      else expect(result.length).toBeLessThanOrEqual(10_000 + bytes.length);
    }),
  );
});
