import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { commandsIn } from "../testing/command.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "uffb-vocab-"));
afterAll(() => rmSync(folder, { recursive: true }));

const TEXT = "The red dog sees the blue dog.\nA small cat hears the red dog.\n";
writeFileSync(join(folder, "text.txt"), TEXT);
writeFileSync(join(folder, "text.txt.gz"), gzipSync(TEXT));
writeFileSync(join(folder, "bad.jsonl"), '{"text":"a red dog"}\n{"txt":"b"}\n');

const { uffb } = commandsIn(folder);

const tokenizer = (name: string) => readFileSync(join(folder, name, "tokenizer.json"), "utf8");

test("from text to a tokenizer, the same from a packed file", async () => {
  const { code, err } = await uffb("vocab", "text.txt", "--size", "50", "-o", "plain");
  expect([code, err]).toEqual([
    0,
    expect.stringContaining("plain is there: 50 tokens of 10 different words in 60 characters"),
  ]);
  await uffb("vocab", "text.txt.gz", "--size", "50", "-o", "packed");
  expect(tokenizer("packed")).toBe(tokenizer("plain"));
  const { out } = await uffb("tokenize", "--tokenizer", "plain", "--jsonl", "the red dog");
  expect(JSON.parse(out).tokens).toEqual(["the", "red", "dog", "<sep>"]);
});

test("names the program that unpacks xz where it is missing", async () => {
  const packed = Bun.spawnSync(["xz", "-c"], { stdin: Buffer.from(TEXT) }).stdout;
  writeFileSync(join(folder, "text.txt.xz"), packed);
  const line = ["vocab", "text.txt.xz", "--size", "50", "-o", "unpacked"];
  const child = Bun.spawn([process.execPath, MAIN, ...line], {
    cwd: folder,
    env: { ...process.env, PATH: folder },
    stderr: "pipe",
  });
  expect(await child.stderr.text()).toContain("the program xz is missing; install it");
  expect(await child.exited).toBe(1);
  expect((await uffb(...line)).code).toBe(0);
  expect(tokenizer("unpacked")).toBe(tokenizer("plain"));
});

test("says what was left out", async () => {
  const { code, err } = await uffb("vocab", "bad.jsonl", "--skip-bad", "--size", "50", "-o", "skipped");
  expect(code).toBe(0);
  expect(err).toContain("1 document of 2 left out");
  expect(err).toContain("tokens, not 50");
});

test.each([
  [["vocab", "text.txt"], 2, "--output is missing"],
  [["vocab", "-o", "x"], 2, "CORPUS is missing"],
  [["vocab", "text.txt", "-o", "x", "--size", "20"], 1, "a vocabulary of 20 has no room"],
  [["vocab", "bad.jsonl", "-o", "x"], 1, 'bad.jsonl:2: has no "text", but txt'],
  [["vocab", "none.txt", "-o", "x"], 1, "none.txt: no such file"],
] as const)("refuses %j", async (line, status, message) => {
  const { code, out, err } = await uffb(...line);
  expect([code, out]).toEqual([status, ""]);
  expect(err).toContain(message);
  expect(existsSync(join(folder, "x"))).toBe(false);
});
