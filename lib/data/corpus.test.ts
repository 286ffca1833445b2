import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { forgeParquet } from "../../testing/parquet.ts";
import { UffbError } from "../base/errors.ts";
import { type CorpusOptions, hashCorpus, readDocuments } from "./corpus.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));

const PLAIN = "One line.\n\nTwo.\r\nThree ä.\n \t\nFour";

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const xz = (text: string | Uint8Array) =>
  Bun.spawnSync(["xz", "-c"], { stdin: Buffer.from(text), stdout: "pipe" }).stdout;

const read = (path: string, options?: CorpusOptions) => Array.fromAsync(readDocuments(path, options));

describe("plain text", () => {
  test.each([
    ["a.txt", PLAIN],
    ["a.txt.gz", gzipSync(PLAIN)],
    ["a.txt.xz", xz(PLAIN)],
    ["unnamed", xz(PLAIN)],
  ])("%s: a line, or what stands between blank lines, is a document", async (name, content) => {
    const path = file(name, content);
    expect(await read(path)).toEqual([
      { line: 1, text: "One line." },
      { line: 3, text: "Two." },
      { line: 4, text: "Three ä." },
      { line: 6, text: "Four" },
    ]);
    expect(await read(path, { documents: "blank-lines" })).toEqual([
      { line: 1, text: "One line." },
      { line: 3, text: "Two.\nThree ä." },
      { line: 6, text: "Four" },
    ]);
  });

  test("no line is lost or made up, whatever they are, and packing changes nothing", async () => {
    const line = fc.stringMatching(/^[a-z äß"\t]{0,12}$/);
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 30 }), async (lines) => {
        const text = lines.join("\n");
        const found = await read(file("any.txt", text));
        expect(found.map((one) => "text" in one && one.text)).toEqual(
          lines.filter((one) => one.trim() !== ""),
        );
        expect(await read(file("any.txt.gz", gzipSync(text)))).toEqual(found);
        const blocks = await read(file("any.txt", text), { documents: "blank-lines" });
        expect(blocks.flatMap((one) => ("text" in one ? one.text.split("\n") : []))).toEqual(
          found.map((one) => "text" in one && one.text) as string[],
        );
      }),
      { numRuns: 40 },
    );
  });

  test("what is not UTF-8 is an error, or left out and counted", async () => {
    const path = file(
      "bad.txt",
      Buffer.concat([Buffer.from("good\n"), Buffer.of(0xff, 0xfe, 0x0a), Buffer.from("x")]),
    );
    await expect(read(path)).rejects.toThrow(/bad\.txt:2: not valid UTF-8; .*--skip-bad/);
    expect(await read(path, { skipBad: true })).toEqual([
      { line: 1, text: "good" },
      { line: 2, error: "not valid UTF-8" },
      { line: 3, text: "x" },
    ]);
  });
});

describe("files with columns", () => {
  test("JSON lines by a field, also within an object", async () => {
    const path = file("a.jsonl", '{"text":"a","m":{"t":"b"}}\n\n{"text":5}\n{"u":1}');
    expect(await read(path, { skipBad: true })).toEqual([
      { line: 1, text: "a" },
      { line: 3, error: '"text" is not a text' },
      { line: 4, error: 'has no "text", but u; name the text with --field' },
    ]);
    expect((await read(path, { skipBad: true, field: "m.t" }))[0]).toEqual({ line: 1, text: "b" });
  });

  test("Parquet and CSV by a column", async () => {
    const parquet = file("a.parquet", forgeParquet(3, [{ name: "text" }, { name: "other" }], "hello"));
    expect((await read(parquet)).map((one) => "text" in one && one.text)).toEqual([
      "hello",
      "hello",
      "hello",
    ]);
    expect(await read(file("a.csv", 'id,text\n1,"x\ny"\n'))).toEqual([{ line: 2, text: "x\ny" }]);
  });
});

test.each([
  ["gzip", gzipSync(PLAIN.repeat(99)).subarray(0, 60)],
  ["xz", xz(PLAIN.repeat(99)).subarray(0, 90)],
])("a file of %s that is cut short is an error, not a shorter corpus", async (packing, content) => {
  await expect(read(file("cut", content))).rejects.toThrow(`cannot be unpacked as ${packing}`);
});

test("what cannot be read is named", async () => {
  await expect(read(join(folder, "none.txt"))).rejects.toThrow(UffbError);
  await expect(hashCorpus("/dev/null")).rejects.toThrow("is a pipe or a device");
  expect(await hashCorpus(file("abc", "abc"))).toStartWith("ba7816bf");
});
