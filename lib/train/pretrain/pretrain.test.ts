import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CancelledError } from "../../../ffi/status.ts";
import { numbers } from "../../../testing/train.ts";
import { openSafetensors } from "../../files/safetensors/safetensors.ts";
import { parseFeedforward } from "../../model/families/feedforward.ts";
import { openModel } from "../../model/model.ts";
import { openTokenizerFiles } from "../../model/tokenizer.ts";
import type { StepRecord } from "../records.ts";
import { type PretrainJob, type PretrainOptions, pretrain } from "./pretrain.ts";
import { branchNoiseAt, CRAMMING, type PretrainRecipe, settingsOf } from "./recipe.ts";
import { tokensOf } from "./tokens.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-pretrain-"));
afterAll(() => rmSync(folder, { recursive: true }));

const WORDS = "the a red blue big small cat dog bird sees hears finds and then again".split(" ");
const text = Array.from({ length: 400 }, (_, i) =>
  Array.from({ length: 12 }, (_, k) => WORDS[(i * 7 + k * k + (i % 5)) % WORDS.length]).join(" "),
).join(".\n");
writeFileSync(join(folder, "corpus.txt"), text);

const vocabulary = await openTokenizerFiles(
  new URL("../../../fixtures/tokenizer-8k", import.meta.url).pathname,
);

async function jobOf(shape: string): Promise<PretrainJob> {
  const tokens = await tokensOf(
    [join(folder, "corpus.txt")],
    vocabulary.tokenizer,
    vocabulary.texts["tokenizer.json"]!,
    join(folder, "tokens"),
    { mostTokens: 1 },
  );
  return {
    shape: {
      feedforward: parseFeedforward(shape),
      layers: 2,
      hidden: 32,
      heads: 2,
      vocab: 8192,
      maxLength: 32,
    },
    vocabulary,
    tokens,
  };
}

const QUICK: PretrainRecipe = {
  ...CRAMMING,
  budget: { unit: "steps", amount: 12 },
  batch: 16,
  microbatch: 4,
  length: 32,
  heldOut: 0.05,
  scores: 3,
};

async function run(shape: string, options: Partial<PretrainOptions> = {}) {
  const losses: number[] = [];
  const outcome = await pretrain(await jobOf(shape), {
    recipe: QUICK,
    threads: 1,
    ...options,
    onStep: (report) => {
      losses.push(report.loss);
      options.onStep?.(report);
    },
  });
  return { ...outcome, losses };
}

const weights = (name: string) => readFileSync(join(folder, name, "model.safetensors"));

describe("balance", () => {
  test("leaves more of a tree's leaves in use", async () => {
    const recipe = { ...QUICK, budget: { unit: "steps", amount: 60 } as const };
    const bits = async (balance: number) =>
      (await run("1x3", { recipe: { ...recipe, balance } })).score!.trees!.reduce(
        (sum, { entropy }) => sum + entropy,
        0,
      );
    expect(await bits(0.1)).toBeGreaterThan((await bits(0)) + 0.5);
  });

  test("is for trees", async () => {
    const recipe = { ...QUICK, balance: 0.1 };
    await expect(run("dense:24", { recipe })).rejects.toThrow("--balance 0.1 is for trees; leave it out");
  });
});

test("products in bf16 give about the same loss, and the same bits after the run was stopped", async () => {
  const recipe: PretrainRecipe = { ...QUICK, compute: "bf16" };
  const narrow = await run("dense:24", { output: join(folder, "narrow"), recipe });
  const wide = await run("dense:24", { output: join(folder, "wide") });
  expect(weights("narrow").equals(weights("wide"))).toBe(false);
  for (const [i, loss] of narrow.losses.entries())
    expect(Math.abs(loss - wide.losses[i]!)).toBeLessThan(0.02);
  const output = join(folder, "narrow-stopped");
  const controller = new AbortController();
  const onStep = ({ step }: { step: number }) => step === 8 && controller.abort();
  const first = run("dense:24", { output, recipe, threads: 2, signal: controller.signal, onStep });
  await expect(first).rejects.toThrow(CancelledError);
  await expect(run("dense:24", { output, resume: true })).rejects.toThrow("its compute was");
  await run("dense:24", { output, recipe, resume: true });
  expect(weights("narrow-stopped").equals(weights("narrow"))).toBe(true);
});

describe("noise on branches", () => {
  const noisy = { ...QUICK, branchNoise: 0.5 };

  test("gives the same bits on any number of threads, and after it was stopped", async () => {
    await run("1x5", { output: join(folder, "noisy"), recipe: noisy });
    await run("1x5", { output: join(folder, "quiet") });
    expect(weights("noisy").equals(weights("quiet"))).toBe(false);
    const output = join(folder, "noisy-stopped");
    const controller = new AbortController();
    const onStep = ({ step }: { step: number }) => step === 8 && controller.abort();
    const first = run("1x5", { output, recipe: noisy, threads: 2, signal: controller.signal, onStep });
    await expect(first).rejects.toThrow(CancelledError);
    await expect(run("1x5", { output, resume: true })).rejects.toThrow("its branchNoise was");
    await run("1x5", { output, recipe: noisy, resume: true });
    expect(weights("noisy-stopped").equals(weights("noisy"))).toBe(true);
  });

  test("falls to nothing over the budget", () => {
    expect([0, 0.25, 1].map((share) => branchNoiseAt(noisy, share))).toEqual([0.5, 0.375, 0]);
  });

  test("is for trees, and no setting of runs without it", async () => {
    await expect(run("none", { recipe: noisy })).rejects.toThrow(
      "--branch-noise 0.5 is for trees; leave it out",
    );
    expect(Object.keys(settingsOf(QUICK))).not.toContain("branchNoise");
    expect(settingsOf(noisy)).toMatchObject({ branchNoise: 0.5 });
  });
});

describe("a run", () => {
  test.each([
    "1x3",
    "2x2",
    "dense:24",
    "glu:24",
    "none",
    "1x4:linear",
    "1x4:after",
    "dense:8+1x5",
    "dense:8+2x2:linear",
  ])("of %s learns, and leaves a folder that can be opened", async (shape) => {
    const output = join(folder, `out-${shape.replace(":", "-")}`);
    const recipe = { ...QUICK, budget: { unit: "steps", amount: 40 } as const, lr: 5e-3 };
    const { losses, score, scores, records, tokens } = await run(shape, { output, recipe });
    expect(losses.length).toBe(40);
    expect(losses[0]!).toBeCloseTo(Math.log(8192), 0);
    expect(score!.loss).toBeLessThan(5);
    expect(scores.map(({ step }) => step)).toEqual([14, 27, 40]);
    const steps = records.filter((record): record is StepRecord => record.event === "step");
    expect(steps.reduce((sum, step) => sum + step.tokens, 0)).toBe(tokens);
    expect(steps.map((step) => step.tokens / 32).slice(0, 8)).toEqual([4, 4, 4, 4, 4, 4, 4, 4]);
    expect(steps.at(-1)!.tokens).toBe(16 * 32);
    expect(readdirSync(output).sort()).toEqual([
      "config.json",
      "model.safetensors",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
      "training.jsonl",
    ]);
    using model = await openModel(output);
    expect([model.config.task, model.config.arch.tied]).toEqual(["mlm", 1]);
    expect(existsSync(`${output}.run`)).toBe(false);
  });

  test("gives the same bits on any number of threads, and after it was stopped within a step", async () => {
    await run("1x3", { output: join(folder, "whole") });
    const output = join(folder, "stopped");
    const controller = new AbortController();
    const onStep = ({ step }: { step: number }) => step === 8 && setTimeout(() => controller.abort(), 0);
    const first = run("1x3", { output, threads: 2, signal: controller.signal, onStep });
    await expect(first).rejects.toThrow(/^stopped after step (8|9|10) of 12; .*--resume goes on/);
    await expect(run("1x3", { output })).rejects.toThrow("add --resume to go on");
    await expect(run("2x3", { output, resume: true })).rejects.toThrow("its shape was");
    await run("1x3", { output, resume: true });
    expect(weights("stopped").equals(weights("whole"))).toBe(true);
  });

  test("begins with next tokens where it is asked to", async () => {
    const { records } = await run("1x3", { recipe: { ...QUICK, causal: 0.5 } });
    const steps = records.filter((record): record is StepRecord => record.event === "step");
    expect(steps.map(({ objective }) => objective)).toEqual([
      ...Array(6).fill("causal"),
      ...Array(6).fill("masked"),
    ]);
  });

  test("keeps the factor of positions where it is asked to, and else trains it", async () => {
    const factor = (name: string) => {
      const tensors = openSafetensors(join(folder, name, "model.safetensors"));
      return numbers(tensors.get("encoder.embedding.pos_embedding.scale_factor")!)[0];
    };
    await run("1x3", { output: join(folder, "fixed"), recipe: { ...QUICK, positionFactor: 0.2 } });
    await run("1x3", { output: join(folder, "trained") });
    await run("1x3", {
      output: join(folder, "grown"),
      recipe: { ...QUICK, positionFactor: 0.2, positionGrowth: 3, causal: 0.5 },
    });
    expect(factor("fixed")).toBe(Math.fround(0.2));
    // Of the last of 12 updates: 11/12 of the budget are used up before it.
    expect(factor("grown")).toBeCloseTo(0.2 * (1 + 2 * Math.sqrt((11 / 12 - 0.5) / 0.5)), 6);
    expect(factor("trained")).toBeCloseTo(1 / Math.sqrt(32), 1);
    expect(factor("trained")).not.toBe(Math.fround(1 / Math.sqrt(32)));
  });

  test("ends when its tokens are used up, or its time", async () => {
    const byTokens = await run("none", { recipe: { ...QUICK, budget: { unit: "tokens", amount: 3000 } } });
    expect(byTokens.tokens).toBeGreaterThanOrEqual(3000);
    expect(byTokens.tokens).toBeLessThan(3000 + 16 * 32);
    expect(byTokens.start.steps).toBe(byTokens.losses.length);
    const byTime = await run("none", { recipe: { ...QUICK, budget: { unit: "hours", amount: 1e-4 } } });
    expect(byTime.seconds).toBeGreaterThanOrEqual(0.36);
    expect(byTime.score!.step).toBe(byTime.losses.length);
  });

  test("stops for a loss that is not a number", async () => {
    await expect(run("1x3", { recipe: { ...QUICK, lr: 1e30, clip: 0 } })).rejects.toThrow(
      /^step \d+ of 12 \(sequences \d+ to \d+\): the (loss|gradient) of sequences .* is not a number; lower --lr/,
    );
  });

  test("a run that ends at once says so", async () => {
    const controller = new AbortController();
    controller.abort();
    await expect(run("1x3", { signal: controller.signal })).rejects.toThrow(CancelledError);
  });
});
