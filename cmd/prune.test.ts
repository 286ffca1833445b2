import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { commandsIn } from "../testing/command.ts";
import { reviewsCsv } from "../testing/finetune.ts";
import { writeTinyBert } from "../testing/tiny-bert.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-prune-"));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => {
  const csv = reviewsCsv(40);
  writeFileSync(join(folder, "reviews.csv"), csv);
  writeFileSync(join(folder, "columns.csv.gz"), gzipSync(csv.replace(/^.*/, "said,mood")));
  await writeTinyBert(join(folder, "classifier"), { labels: ["good", "bad"] });
  await writeTinyBert(join(folder, "encoder"));
});

const { uffb } = commandsIn(folder);

test("from a packed table with columns of any name to a narrower model that packs, runs and is a student", async () => {
  const columns = ["--text", "said", "--label", "mood"];
  const line = ["prune", "classifier", "columns.csv.gz", ...columns, "--width", "16"];
  const { code, out, err } = await uffb(...line, "-o", "small");
  expect([code, err]).toEqual([0, expect.stringContaining("uffb infer --model small runs it")]);
  expect(out).toEndWith(" examples\n");
  expect(out).toMatch(/^neurons a layer {2}48 -> 16\n/);
  expect(JSON.parse(readFileSync(join(folder, "small/config.json"), "utf8")).intermediate_size).toBe(16);
  const again = await uffb(...line, "-o", "again", "--json");
  expect(JSON.parse(again.out)).toMatchObject({
    output: "again",
    width: { before: 48, after: 16 },
    examples: 40,
  });
  const weights = (name: string) => readFileSync(join(folder, name, "model.safetensors"));
  expect(weights("again").equals(weights("small"))).toBe(true);

  expect((await uffb("convert", "small", "-o", "small.uffb.safetensors")).code).toBe(0);
  const answer = await uffb("infer", "--model", "small.uffb.safetensors", "a lovely story");
  expect(answer.out).toMatch(/^1\t(good|bad)\t/);
  const student = ["--teacher", "classifier", "--student", "small", "--epochs", "1", "-o", "taught"];
  expect((await uffb("distill", "reviews.csv", ...student)).code).toBe(0);
}, 60_000);

test("heads go, and it is said who loads the result", async () => {
  const line = ["prune", "classifier", "reviews.csv", "--heads", "4", "-o", "fewer"];
  const { code, out, err } = await uffb(...line);
  expect([code, err]).toEqual([
    0,
    expect.stringContaining("transformers up to version 4 loads it, by pruned_heads"),
  ]);
  expect(out).toMatch(/^heads in all {5}6 -> 4\n/);
  expect((await uffb("inspect", "fewer")).out).toMatch(/hidden 32, [12], [12], [12] heads of 16/);
  expect((await uffb("infer", "--model", "fewer", "a lovely story")).out).toMatch(/^1\t(good|bad)\t/);
  expect((await uffb("convert", "fewer", "--dtype", "int8", "-o", "fewer.uffb.safetensors")).code).toBe(0);
  const packed = await uffb("infer", "--model", "fewer.uffb.safetensors", "a lovely story");
  expect(packed.out).toMatch(/^1\t(good|bad)\t/);
  const again = await uffb("finetune", "reviews.csv", "--model", "fewer", "--epochs", "1", "-o", "tuned");
  expect([again.code, again.err]).toEqual([0, expect.any(String)]);
  expect((await uffb("infer", "--model", "tuned", "a lovely story")).code).toBe(0);
}, 120_000);

test.each([
  [["prune"], 2, "MODEL is missing"],
  [["prune", "classifier", "reviews.csv", "--width", "8"], 2, "--output is missing"],
  [["prune", "classifier", "reviews.csv", "-o", "x"], 2, "that stay, --heads, or --faster"],
  [["prune", "classifier", "reviews.csv", "-o", "x", "--width", "48"], 2, "has 48 neurons"],
  [["prune", "classifier", "reviews.csv", "-o", "x", "--heads", "6"], 2, "has 6 heads in 3 layers"],
  [
    ["prune", "classifier", "reviews.csv", "-o", "x", "--width", "8", "--heads", "4", "--faster", "2"],
    2,
    "leave nothing to choose for --faster",
  ],
  [["prune", "classifier", "reviews.csv", "-o", "x", "--faster", "999"], 1, "with 16 neurons in each"],
  [["prune", "encoder", "reviews.csv", "-o", "x", "--width", "8"], 1, "does not classify texts"],
  [["prune", "classifier", "none.csv", "-o", "x", "--width", "8"], 1, "none.csv: no such file"],
] as const)("refuses %j", async (line, status, message) => {
  const { code, out, err } = await uffb(...line);
  expect([code, out]).toEqual([status, ""]);
  expect(err).toContain(message);
  expect(existsSync(join(folder, "x"))).toBe(false);
});
