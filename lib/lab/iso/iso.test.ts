import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { CancelledError } from "../../../ffi/status.ts";
import { collisions } from "../../../testing/svg.ts";
import { openTokenizerFiles } from "../../model/tokenizer.ts";
import { tokensOf } from "../../train/pretrain/tokens.ts";
import { chart } from "./chart.ts";
import { runIso } from "./iso.ts";
import { type Contender, PRESET_NAMES, parseContender, planOf, recipeOf } from "./plan.ts";
import { csv, findings } from "./report.ts";
import { type Row, spread } from "./results.ts";
import { type IsoJob, placesOf } from "./train.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-iso-"));
afterAll(() => rmSync(folder, { recursive: true }));

const row = (name: string, loss: number, batched: number, bits?: number): Row => ({
  name,
  active: parseContender(name).active,
  seeds: 2,
  parameters: 1000,
  loss: { mean: loss, deviation: 0.01 },
  losses: [loss - 0.01, loss + 0.01],
  accuracy: { mean: 0.4, deviation: 0 },
  bits,
  alone: batched * 3,
  batched,
});

const ROWS = [
  row("none", 4, 1e-6),
  row("dense:12", 3.8, 1.1e-6),
  row("dense:192", 3.4, 1.5e-6),
  row("dense:768", 3.3, 3e-6),
  row("1x11", 3.7, 1.6e-6, 3.2),
  row("dense:24+1x8:balanced", 4.1, 0.9e-6, 7),
];

describe("a plan", () => {
  test.each(PRESET_NAMES)("%s holds the controls that trees need, and no model twice", (preset) => {
    const { contenders } = planOf(preset);
    const names = contenders.map(({ name }) => name);
    expect(names).toContain("none");
    expect(names.filter((name) => name.startsWith("dense:") && !name.includes("+")).length).toBeGreaterThan(
      0,
    );
    expect(names.some((name) => name.endsWith(":balanced"))).toBe(true);
    expect(names.some((name) => name.includes("+"))).toBe(true);
    expect(new Set(names).size).toBe(names.length);
    // Folders of models must not meet.
    expect(new Set(contenders.map((one) => placesOf("", one, 1).model)).size).toBe(names.length);
  });

  test("trains all alike but for the seed, and what their names say of their training", () => {
    const plan = planOf("hour", { tokens: 5000, seeds: 7 });
    expect([plan.seeds, plan.recipe.budget]).toEqual([7, { unit: "tokens", amount: 5000 }]);
    for (const one of plan.contenders)
      expect(recipeOf(plan, one, 3)).toEqual({
        ...plan.recipe,
        seed: 3,
        balance: one.name.includes(":balanced") ? 0.02 : 0,
        branchNoise: one.name.includes(":noisy") ? 0.5 : 0,
      });
  });

  test("takes other shapes, and refuses those that cannot be", () => {
    const names = (shapes: string) => planOf("tiny", { shapes }).contenders.map(({ name }) => name);
    expect(names("none, 1x8:linear:balanced,dense:4")).toEqual(["none", "1x8:linear:balanced", "dense:4"]);
    expect(() => names("none,1x8,1x8")).toThrow("1x8 is there twice");
    expect(names("1x8:noisy:balanced,1x8:noisy")).toEqual(["1x8:balanced:noisy", "1x8:noisy"]);
    expect(() => names("dense:4:balanced")).toThrow("only trees can be balanced");
    expect(() => names("dense:4:noisy")).toThrow("only trees can be noisy");
    expect(() => names("1x8:noisy:noisy")).toThrow("each of balanced, noisy once");
    expect(() => names("1x8:noisy:linear")).toThrow("each of balanced, noisy once");
    expect(() => names("")).toThrow("give trees and their depth");
  });
});

describe("the report", () => {
  test("holds each model of trees against three controls, whichever way it fell", () => {
    expect(findings(ROWS)).toEqual([
      "1x11: 0.300 nats better than no feedforward layer; 0.100 nats better than dense:12, with 12 active neurons; 0.300 nats worse than dense:192, the best dense layer that takes no longer",
      "dense:24+1x8:balanced: 0.100 nats worse than no feedforward layer; 0.300 nats worse than dense:12, with 33 active neurons",
    ]);
    const [tree, dense] = [row("1x8", 3.2, 1), row("dense:9", 3, 2)];
    tree.losses = [3.1, 3.3];
    dense.losses = [3, 3];
    expect(findings([tree, dense])).toEqual([
      "1x8: 0.200 ± 0.141 nats worse than dense:9, with 9 active neurons",
    ]);
    expect(findings(ROWS.slice(4, 5))).toEqual(["1x11: no control was trained"]);
  });

  test("as CSV has a line of as many cells for each", () => {
    const lines = csv(ROWS).trimEnd().split("\n");
    expect(lines.length).toBe(1 + ROWS.length);
    expect(new Set(lines.map((line) => line.split(",").length)).size).toBe(1);
    expect(lines[1]).toBe("none,0,1000,2,4,0.01,0.4,0,,0.000003,0.000001");
  });

  test("is drawn with numbers, whatever they are", () => {
    const losses = fc.double({ min: 1e-4, max: 100, noNaN: true });
    const seconds = fc.double({ min: 1e-8, max: 1e-2, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(losses, seconds), { minLength: 1, maxLength: 6 }), (pairs) => {
        const drawn = chart(
          pairs.map(([loss, time], i) => row(`1x${i}`, loss, time)),
          "a <title>",
        );
        expect(drawn).not.toMatch(/NaN|Infinity|undefined/);
        expect(drawn.match(/<circle/g)!.length).toBe(4 * pairs.length + 1);
        expect(drawn).toContain("a &lt;title>");
        expect(collisions(drawn)).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  test("spreads are those of the seeds", () => {
    expect(spread([3])).toEqual({ mean: 3, deviation: 0 });
    expect(spread([1, 3])).toEqual({ mean: 2, deviation: Math.SQRT2 });
  });
});

const WORDS = "the a red blue big small cat dog bird sees hears finds and then again".split(" ");
writeFileSync(
  join(folder, "corpus.txt"),
  Array.from({ length: 200 }, (_, i) =>
    Array.from({ length: 12 }, (_, k) => WORDS[(i * 7 + k * k + (i % 5)) % WORDS.length]).join(" "),
  ).join(".\n"),
);

async function jobOf(name: string, changes: Parameters<typeof planOf>[1]): Promise<IsoJob> {
  const vocabulary = await openTokenizerFiles(
    new URL("../../../fixtures/tokenizer-8k", import.meta.url).pathname,
  );
  const text = vocabulary.texts["tokenizer.json"]!;
  const tokens = await tokensOf(
    [join(folder, "corpus.txt")],
    vocabulary.tokenizer,
    text,
    join(folder, "tokens"),
    {
      mostTokens: 1,
    },
  );
  const plan = planOf("tiny", { tokens: 2000, ...changes });
  return { plan, vocabulary, tokens, folder: join(folder, name) };
}

const facts = { command: "uffb lab iso", machine: "a machine", corpus: "corpus.txt" };

describe("a run", () => {
  test("trains and times all, and goes on where it was stopped", async () => {
    const job = await jobOf("stopped", { shapes: "none,1x3:balanced", seeds: 2 });
    const stop = new AbortController();
    const begun: string[] = [];
    const onModel = ({ name }: Contender, seed: number, done: number) =>
      begun.push(`${done} ${name} ${seed}`);
    let steps = 0;
    const onStep = () => {
      if (++steps === 20) stop.abort();
    };
    const first = runIso(job, { seconds: 0, facts, threads: 1, signal: stop.signal, onModel, onStep });
    await expect(first).rejects.toThrow(CancelledError);
    expect(begun).toEqual(["0 none 1", "1 1x3:balanced 1"]);
    expect(existsSync(join(job.folder, "iso.md"))).toBe(false);
    const done = statSync(placesOf(job.folder, { name: "none" }, 1).result).mtimeMs;

    const rows = await runIso(job, { seconds: 0, facts, threads: 1, onModel });
    expect(begun.slice(2)).toEqual(["1 1x3:balanced 1", "2 none 2", "3 1x3:balanced 2"]);
    expect(statSync(placesOf(job.folder, { name: "none" }, 1).result).mtimeMs).toBe(done);
    expect(rows.map(({ name, seeds, active }) => [name, seeds, active])).toEqual([
      ["none", 2, 0],
      ["1x3:balanced", 2, 4],
    ]);
    for (const { loss, alone, batched } of rows) {
      expect(loss.mean).toBeLessThan(Math.log(8192));
      expect(loss.deviation).toBeGreaterThan(0);
      expect(Math.min(alone, batched)).toBeGreaterThan(0);
    }
    expect(readdirSync(job.folder).sort()).toEqual(["iso.csv", "iso.md", "iso.svg", "models", "plan.json"]);
    expect(readFileSync(join(job.folder, "iso.md"), "utf8")).toContain("| `1x3:balanced` | 4 |");

    // One that never stopped comes to the same, bit by bit.
    const whole = await jobOf("whole", { shapes: "none,1x3:balanced", seeds: 2 });
    const again = await runIso(whole, { seconds: 0, facts, threads: 2 });
    expect(again.map(({ loss, accuracy }) => [loss, accuracy])).toEqual(
      rows.map(({ loss, accuracy }) => [loss, accuracy]),
    );
  });

  test("adds shapes, but not to models that were trained otherwise", async () => {
    await runIso(await jobOf("grown", { shapes: "none", seeds: 1 }), { seconds: 0, facts });
    const names: string[] = [];
    const onModel = ({ name }: Contender) => names.push(name);
    await runIso(await jobOf("grown", { shapes: "none,dense:3", seeds: 1 }), { seconds: 0, facts, onModel });
    expect(names).toEqual(["dense:3"]);
    const other = await jobOf("grown", { shapes: "none", seeds: 1, tokens: 1000 });
    await expect(runIso(other, { seconds: 0, facts })).rejects.toThrow(
      'its models were trained with another budget: {"unit":"tokens","amount":2000}, now {"unit":"tokens","amount":1000}',
    );
  });
});
