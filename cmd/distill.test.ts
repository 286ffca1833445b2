import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PLAIN_SENTENCES } from "../lib/text/sample.ts";
import { commandsIn } from "../testing/command.ts";
import { expectSameBitsAfterEnds } from "../testing/ended.ts";
import { writeTinyBert } from "../testing/tiny-bert.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-distill-"));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => {
  writeFileSync(join(folder, "texts.txt"), PLAIN_SENTENCES.join("\n"));
  await writeTinyBert(join(folder, "encoder"));
  await writeTinyBert(join(folder, "four-heads"), { heads: 4 });
  await writeTinyBert(join(folder, "classifier"), { labels: ["good", "bad"] });
});

const { start, uffb } = commandsIn(folder);

const QUICK = ["distill", "texts.txt", "--teacher", "encoder", "--batch", "8", "--split", "0.2"];

test("from texts to a smaller model that embeds", async () => {
  const line = [...QUICK, "--layers", "0,2", "--width", "16", "-o", "small", "--svg", "curves.svg"];
  const { code, out, err } = await uffb(...line);
  expect([code, err]).toEqual([0, expect.stringContaining("uffb infer --model small --embed runs it")]);
  expect(err).toContain("38 texts to train on, 10 to validate on");
  expect(out).toContain("1 - cosine with the teacher");
  expect(readFileSync(join(folder, "curves.svg"), "utf8")).toStartWith("<svg");
  expect(readFileSync(join(folder, "small/README.md"), "utf8")).toContain(`uffb ${line.join(" ")}`);
  const vectors = await uffb("infer", "--model", "small", "--embed", "a text");
  expect(vectors.out.trim().split(/\s+/).length).toBeGreaterThanOrEqual(32);
}, 60_000);

test("trees beside a dense layer, of which it says what holds them", async () => {
  const shape = ["--shape", "dense:8+2x4:linear", "--fit", "3", "--layers", "1"];
  const { code, err } = await uffb(...QUICK, ...shape, "-o", "treed", "--json");
  expect(code).toBe(0);
  expect(err).toContain("behind its LayerNorm: 0.");
  expect(err).toContain("transformers has no such feedforward layers and refuses treed");
  const config = JSON.parse(readFileSync(join(folder, "treed/config.json"), "utf8"));
  expect(config).toMatchObject({ feedforward: "dense:8+2x4:linear", intermediate_size: null });
  const vectors = await uffb("infer", "--model", "treed", "--embed", "a text");
  expect(vectors.out.trim().split(/\s+/).length).toBeGreaterThanOrEqual(32);
}, 60_000);

test("a student that attends like its teacher", async () => {
  const flags = ["--layers", "0,2", "--states", "0", "--attention", "1"];
  const { code, err } = await uffb(...QUICK, ...flags, "-o", "attends");
  expect(code).toBe(0);
  expect(err).toContain("attention is compared, student's to its: of layers 0 to 1, 1 to 2; it runs beside");
  expect(readFileSync(join(folder, "attends/README.md"), "utf8")).toContain("| attention | 1 |");
  const other = ["--student", "four-heads", "--attention", "1", "-o", "odd"];
  const refused = await uffb(...QUICK, ...other);
  expect([refused.code, refused.out]).toEqual([2, ""]);
  expect(refused.err).toContain("layer 0 of four-heads has 4 heads, and layer 0 of its teacher");
  expect(existsSync(join(folder, "odd.run"))).toBe(false);
}, 60_000);

test("a run ended by SIGTERM, and then by kill -9, goes on and ends with the same bits", async () => {
  await expectSameBitsAfterEnds(folder, start, [...QUICK, "--width", "16", "--epochs", "60", "--lr", "1e-4"]);
}, 120_000);

test.each([
  [["distill"], 2, "DATA is missing"],
  [["distill", "texts.txt", "--teacher", "encoder"], 2, "--output is missing"],
  [["distill", "texts.txt", "-o", "x"], 2, "--teacher is missing"],
  [[...QUICK, "-o", "x", "--layers", "a"], 2, "--layers a: give numbers"],
  [[...QUICK, "-o", "x", "--shape", "8y6"], 2, "--shape 8y6: give trees and their depth"],
  [[...QUICK, "-o", "x", "--shape", "8x6", "--width", "8"], 2, "--width 8 is short for --shape dense:8"],
  [[...QUICK, "-o", "x", "--shape", "dense:64+8x6"], 2, "has more than the 48 neurons of encoder"],
  [
    [...QUICK, "-o", "x", "--student", "classifier", "--width", "8"],
    1,
    "leave them out to train it as it is",
  ],
  [[...QUICK, "-o", "x", "--label", "label"], 2, "--label is for a teacher that classifies"],
  [
    [...QUICK, "-o", "x", "--temperature", "2"],
    2,
    "--temperature 2 is for a teacher that tells classes apart",
  ],
  [["distill", "texts.txt", "none.txt", "--teacher", "classifier", "-o", "x"], 2, "takes one file"],
  [["distill", "none.txt", "--teacher", "encoder", "-o", "x"], 1, "none.txt: no such file"],
  [[...QUICK, "-o", "x", "--resume"], 2, "x.run holds no run to go on with"],
] as const)("refuses %j", async (line, status, message) => {
  const { code, out, err } = await uffb(...line);
  expect([code, out]).toEqual([status, ""]);
  expect(err).toContain(message);
  expect(existsSync(join(folder, "x.run"))).toBe(false);
});
