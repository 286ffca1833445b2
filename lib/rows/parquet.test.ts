import { expect, test } from "bun:test";
import fc from "fast-check";
import { forgeParquet } from "../../testing/parquet.ts";
import { readParquet } from "./parquet.ts";
import { checkThrift } from "./thrift.ts";

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

/** A file whose metadata are these bytes. */
function withMetadata(metadata: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(metadata.length + 12);
  bytes.set(Buffer.from("PAR1"));
  bytes.set(metadata, 4);
  new DataView(bytes.buffer).setUint32(metadata.length + 4, metadata.length, true);
  bytes.set(Buffer.from("PAR1"), metadata.length + 8);
  return bytes;
}

/** The start of field 2, a list of structures, of which there are 268 million. */
const LONG_LIST = [0x29, 0xfc, 0xff, 0xff, 0xff, 0x7f];

test.each([
  ["a list longer than the file", LONG_LIST, "claims more than there is"],
  ["a number without an end", [0x26, ...Array<number>(1e6).fill(0xff)], "has no end"],
  ["a structure without an end", [0x15, 0x02], "end too early"],
  ["structures in structures", Array<number>(1e5).fill(0x1c), "nested too deeply"],
  ["a map", [0x1b, 0x00], "a value of type 11"],
])("metadata with %s", async (_, metadata, message) => {
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  await expect(read(withMetadata(metadata))).rejects.toThrow(message);
  expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 2 ** 20);
});

test("whatever bytes metadata are, they are walked or refused in a time that follows from their number", () => {
  const part = fc.oneof(fc.constantFrom(...LONG_LIST, 0x1c, 0x19, 0x2c, 0), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(part, { maxLength: 300 }), (bytes) => {
      try {
        checkThrift(Uint8Array.from(bytes));
      } catch (error) {
        expect((error as Error).message).toMatch(/^(its|a list of its|a number of its) metadata /);
      }
    }),
  );
});

test("a file cut short anywhere is refused", async () => {
  const whole = forgeParquet(3, [{ name: "a" }], "text");
  for (let size = 0; size < whole.length; size++)
    await expect(read(whole.slice(0, size))).rejects.toThrow("cannot be read as parquet");
});
