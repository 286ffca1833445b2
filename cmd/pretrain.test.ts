import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { commandsIn } from "../testing/command.ts";
import { expectSameBitsAfterEnds } from "../testing/ended.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-pretrain-command-"));
afterAll(() => rmSync(folder, { recursive: true }));

const WORDS = "the a red blue big small cat dog bird sees hears finds and then again".split(" ");
const TEXT = Array.from({ length: 600 }, (_, i) =>
  Array.from({ length: 14 }, (_, k) => WORDS[(i * 7 + k * k + (i % 5)) % WORDS.length]).join(" "),
);
writeFileSync(join(folder, "text.txt.gz"), gzipSync(TEXT.join(".\n")));
writeFileSync(join(folder, "text.jsonl"), TEXT.map((text) => JSON.stringify({ body: text })).join("\n"));

const { start, uffb } = commandsIn(folder);

const SHAPE = ["--shape", "1x3", "--layers", "2", "--hidden", "32", "--heads", "2", "--length", "32"];
const QUICK = [...SHAPE, "--steps", "10", "--batch", "8", "--microbatch", "4", "--scores", "2"];

test("from text to a model that fills in words", async () => {
  const line = ["pretrain", "text.txt.gz", ...QUICK, "-o", "model", "--svg", "curves.svg"];
  const { code, out, err } = await uffb(...line);
  expect([code, err]).toEqual([
    0,
    expect.stringContaining("model is there; uffb infer --model model runs it"),
  ]);
  expect(err).toContain("2 layers of hidden 32, 2 heads, feedforward 1x3 (4 active neurons)");
  expect(err).toMatch(/10 steps, 0\.\d+ passes over the text; updates of 4 to 8 sequences/);
  expect(err).toMatch(/step 10, [\d,]+ tokens: held-out loss \d\.\d+, accuracy [\d.]+%, bits of routing/);
  expect(out).toMatch(/ +10 +\S+ +masked +\d\.\d{4} /);
  expect(readFileSync(join(folder, "curves.svg"), "utf8")).toContain(">accuracy<");
  const card = readFileSync(join(folder, "model/README.md"), "utf8");
  expect(card).toContain(`uffb ${line.join(" ")}`);
  expect(card).toMatch(/\| text\.txt\.gz \| 600 \| `[\da-f]{64}` \|/);
  expect(card).toContain("| steps | 10 |");
  const answer = await uffb("infer", "--model", "model", "the red [MASK] sees");
  expect([answer.code, answer.out.trim().split("\n").length]).toEqual([0, 5]);
}, 60_000);

test("from a field of JSON lines, in JSON", async () => {
  const control = QUICK.map((word) => (word === "1x3" ? "none" : word));
  const { out } = await uffb(
    "pretrain",
    "text.jsonl",
    "--field",
    "body",
    ...control,
    "--json",
    "-o",
    "fields",
  );
  const found = JSON.parse(out);
  expect([found.shape, found.active_neurons, found.scores.length]).toEqual(["none", 0, 2]);
  expect(found.tokens).toBe(found.scores[1].tokens);
}, 60_000);

test("says what a budget would take", async () => {
  const { code, out } = await uffb("pretrain", "--dry-run", ...SHAPE, "--tokens", "1e9");
  expect(code).toBe(0);
  expect(out).toMatch(/the budget: 1,0\d\d,\d{3},\d{3} tokens in [\d,]+ steps, [\d.]+ PFLOP, [\d.]+ hours/);
  expect(out).toMatch(
    /a step of \d+ sequences of \d+: [\d.e+]+ ms: forward [\d.]+%, backward [\d.]+%, update [\d.]+%; [\d.]+ times three forward passes/,
  );
}, 60_000);

test("says so in JSON, too", async () => {
  const { code, out } = await uffb("pretrain", "--dry-run", ...SHAPE, "--tokens", "1e9", "--json");
  expect(code).toBe(0);
  const found = JSON.parse(out);
  const { seconds_forward, seconds_backward, seconds_update, seconds_per_step, seconds_bound } = found;
  expect(seconds_forward + seconds_backward + seconds_update).toBeCloseTo(seconds_per_step, 9);
  expect(seconds_bound * found.peak_flops).toBeCloseTo(
    found.batch * found.length * found.flops_per_token,
    -3,
  );
  expect(found.tokens_per_second * seconds_per_step).toBeCloseTo(found.batch * found.length, 6);
  expect(found.bytes).toBeGreaterThan(16 * found.parameters);
}, 60_000);

test("a run ended by SIGTERM, and then by kill -9, goes on and ends with the same bits", async () => {
  await expectSameBitsAfterEnds(folder, start, [
    "pretrain",
    "text.txt.gz",
    ...SHAPE,
    "--tokens",
    "300000",
    "--batch",
    "16",
    "--microbatch",
    "4",
    "--causal",
    "0.2",
  ]);
}, 120_000);

test.each([
  [["pretrain", "text.jsonl", "-o", "x"], 2, "give --steps, --tokens or --hours"],
  [["pretrain", "text.jsonl", "-o", "x", "--steps", "1", "--hours", "1"], 2, "are two budgets; give one"],
  [["pretrain", "-o", "x", "--steps", "1"], 2, "CORPUS is missing"],
  [["pretrain", "text.jsonl", "--steps", "1"], 2, "--output is missing"],
  [
    ["pretrain", "text.jsonl", "-o", "x", "--steps", "1", "--shape", "11"],
    2,
    "give trees and their depth as 1x11",
  ],
  [["pretrain", "none.txt", "-o", "x", "--steps", "1"], 1, "none.txt: no such file"],
  [["pretrain", "text.jsonl", "-o", "x", "--steps", "1"], 1, 'text.jsonl:1: has no "text", but body'],
  [["pretrain", "text.jsonl", "-o", "x", "--steps", "1", "--resume"], 2, "x.run holds no run to go on with"],
] as const)("refuses %j", async (line, status, message) => {
  const { code, out, err } = await uffb(...line);
  expect([code, out]).toEqual([status, ""]);
  expect(err).toContain(message);
  expect(existsSync(join(folder, "x"))).toBe(false);
});
