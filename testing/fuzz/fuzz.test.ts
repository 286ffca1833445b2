import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FORMATS as CHECKPOINTS } from "../../lib/files/checkpoint.ts";
import { mutate, Random } from "./mutate.ts";
import { TARGETS } from "./targets.ts";
import { makeCase, runCase, seedsOf } from "./worker.ts";

const PROGRAM = fileURLToPath(new URL("./fuzz.ts", import.meta.url));
const BAD = fileURLToPath(new URL("../bad-targets.ts", import.meta.url));

async function fuzz(...args: string[]): Promise<{ code: number; output: string }> {
  const child = Bun.spawn([process.execPath, PROGRAM, ...args], { stdout: "pipe", stderr: "inherit" });
  const output = await new Response(child.stdout).text();
  return { code: await child.exited, output };
}

test("a case depends on seed, target and number alone", () => {
  const seeds = [new Uint8Array(50).fill(7), new TextEncoder().encode('{"a": [1, 2, 3]}')];
  const make = (seed: number, index: number, target = "a") =>
    Buffer.from(mutate(seeds, new Random(seed, index, target))).toString("hex");
  const cases = Array.from({ length: 100 }, (_, index) => make(1, index));
  expect(cases).toEqual(Array.from({ length: 100 }, (_, index) => make(1, index)));
  expect(new Set(cases).size).toBeGreaterThan(80);
  expect(cases).not.toEqual(Array.from({ length: 100 }, (_, index) => make(2, index)));
  expect(cases).not.toEqual(Array.from({ length: 100 }, (_, index) => make(1, index, "b")));
});

/** The target that reads each format of checkpoints. */
const TARGET_OF = { "model.safetensors": "safetensors", "pytorch_model.bin": "checkpoint" };

test("every format of checkpoints has a target", () => {
  expect(Object.keys(TARGET_OF).sort()).toEqual(CHECKPOINTS.map(({ file }) => file).sort());
  expect(Object.keys(TARGETS)).toEqual(expect.arrayContaining(Object.values(TARGET_OF)));
});

describe.each(Object.entries(TARGETS))("%s", (name, target) => {
  test("reads the honest files", async () => {
    const seeds = await seedsOf(target);
    expect(seeds.length).toBeGreaterThan(2);
    for (const seed of seeds) expect(await runCase(target, seed, 10)).toMatchObject({ outcome: "read" });
  });

  test("reads or refuses damaged ones", async () => {
    const outcomes = { read: 0, refused: 0 };
    for (let index = 0; index < 150; index++) {
      const bytes = await makeCase({ seed: 7 }, TARGETS, name, index);
      const { outcome, detail } = await runCase(target, bytes, 10);
      // Memory and time need a process without anything else in it.
      if (outcome === "threw") throw new Error(`case ${index}: ${detail}`);
      if (outcome === "read" || outcome === "refused") outcomes[outcome]++;
    }
    expect(outcomes.refused).toBeGreaterThan(20);
  });
});

describe("finds", () => {
  // The last case of each range is the first that has the fault.
  const cases: [string, string, RegExp][] = [
    ["throws", "20..35", /throws, case 34: threw: TypeError: a bug/],
    ["crashes", "20..29", /crashes, case 28: crash: SIGSEGV/],
    ["hangs", "1..20", /hangs, case 19: hang: more than 1 s/],
    ["dawdles", "50..66", /dawdles, case 65: slow: \d+ ms/],
    ["hoards", "20..33", /hoards, case 32: memory: \d\d\d? MiB beyond the file/],
  ];
  test.concurrent.each(cases)(
    "a reader that %s, and how to see it again",
    async (target, range, message) => {
      const bad = [
        "--targets",
        BAD,
        "--limit-seconds",
        target === "hangs" || target === "dawdles" ? "0.2" : "2",
      ];
      const { code, output } = await fuzz(...bad, "--target", target, "--seconds", "30", "--cases", range);
      expect(output).toMatch(message);
      expect(output).toMatch(/, 1 went wrong\n$/);
      expect(code).toBe(1);
      const path = /--file (.+)/.exec(output)![1]!;
      expect(existsSync(path)).toBe(true);
      const again = await fuzz(...bad, "--target", target, "--file", path);
      expect(again.output).toMatch(new RegExp(message.source.replace(/case \d+/, "case 0")));
      expect(again.code).toBe(1);
    },
    60_000,
  );

  test("nothing in a good one", async () => {
    const { code, output } = await fuzz("--targets", BAD, "--target", "good", "--cases", "0..300");
    expect(output).toMatch(/^good: 0 read, 300 refused, \d+ a second\nseed 1: 300 cases, 0 went wrong\n$/);
    expect(code).toBe(0);
  });

  test("that no case ran", async () => {
    const { code, output } = await fuzz("--targets", BAD, "--target", "good", "--cases", "5..5");
    expect(output).toContain("no case ran");
    expect(code).toBe(1);
  });

  test("the fault of one target, and goes on with all others", async () => {
    const { output } = await fuzz("--targets", BAD, "--cases", "0..29", "--limit-seconds", "0.2");
    for (const target of ["good", "throws", "dawdles", "hoards"])
      expect(output).toContain(`${target}: 0 read, 29 refused`);
    expect(output).toContain("crashes, case 28: crash");
    expect(output).toContain("hangs, case 0: hang");
    expect(output).toContain("hangs, case 19: hang");
  }, 60_000);
});

test("runs are recorded, each with cases of its own, and summed", async () => {
  const record = join(mkdtempSync(join(tmpdir(), "uffb-test-")), "runs.jsonl");
  const run = ["--targets", BAD, "--target", "good", "--record", record, "--cases"];
  expect((await fuzz(...run, "0..300")).output).toContain("seed 1: 300 cases");
  expect((await fuzz(...run, "0..20")).output).toContain("seed 2: 20 cases");
  const { output } = await fuzz("--total", record);
  expect(output).toMatch(/^good: 320\n2 runs: 320 cases in \d+ s, 0 went wrong\n$/);
});
