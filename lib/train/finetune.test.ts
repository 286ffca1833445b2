import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { CancelledError } from "../../ffi/status.ts";
import { reviewJob } from "../../testing/finetune.ts";
import { TemporaryFolder } from "../../testing/folders.ts";
import { openSafetensors } from "../files/safetensors/safetensors.ts";
import { openModel } from "../model/model.ts";
import { modelCard } from "./card.ts";
import { type FinetuneOptions, finetune } from "./finetune.ts";
import { FINETUNE, HEAD_ONLY, type Recipe, settingsOf } from "./recipe.ts";
import { confusion, outcomeJson, outcomeText, startLines, worst } from "./report.ts";

const QUICK: Recipe = { ...FINETUNE, epochs: 2, batch: 8, lr: 1e-3 };

/** Steps that a run has after `after` of them, and its result's bytes. */
async function run(options: Omit<FinetuneOptions, "recipe"> & { recipe?: Recipe }, count = 40) {
  const losses: number[] = [];
  const result = await finetune(reviewJob(count), {
    recipe: QUICK,
    threads: 1,
    ...options,
    onStep: (report) => {
      losses.push(report.loss);
      options.onStep?.(report);
    },
  });
  using _ = result.model;
  return { ...result, losses };
}

const weights = (folder: string) => readFileSync(`${folder}/model.safetensors`);

describe("a run", () => {
  test("learns, and leaves a folder that can be opened", async () => {
    using folder = new TemporaryFolder();
    const output = folder.file("out");
    const result = await run({
      output,
      recipe: { ...QUICK, epochs: 6 },
      describe: (outcome) => ({
        "README.md": modelCard(outcome, { title: "t", command: "uffb finetune", version: "1", data: [] }),
      }),
    });
    expect(result.losses.length).toBe(30);
    expect(result.losses.at(-1)!).toBeLessThan(0.6 * result.losses[0]!);
    expect(result.final!.scores.accuracy!).toBeGreaterThan(0.7);
    expect(readdirSync(folder.path)).toEqual(["out"]);
    expect(readdirSync(output).sort()).toEqual([
      "README.md",
      "config.json",
      "model.safetensors",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
      "training.jsonl",
    ]);
    using model = await openModel(output);
    expect([model.config.task, model.config.labels]).toEqual(["classification", ["bad", "good"]]);
    expect(readFileSync(`${output}/README.md`, "utf8")).toMatch(/\| accuracy \| \d\.\d{4} \|/);
    const events = readFileSync(`${output}/training.jsonl`, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(
      Object.entries(Object.groupBy(events, ({ event }) => event)).map(([event, all]) => [
        event,
        all!.length,
      ]),
    ).toEqual([
      ["start", 1],
      ["step", 30],
      ["epoch", 6],
      ["end", 1],
    ]);
    const trees = events.find(({ event }) => event === "epoch").trees;
    expect(trees.length).toBe(4);
    for (const { leaves, reached, dead, entropy } of trees) {
      expect([leaves, reached + dead]).toEqual([256, 256]);
      expect(reached).toBeGreaterThan(0);
      expect(entropy).toBeGreaterThan(0);
    }
  });

  test("gives the same bits on any number of threads, and after it was stopped", async () => {
    using folder = new TemporaryFolder();
    const whole = folder.file("whole");
    await run({ output: whole });
    const stopped = folder.file("stopped");
    const controller = new AbortController();
    const onStep = ({ step }: { step: number }) => step === 3 && controller.abort();
    const first = run({ output: stopped, threads: 2, signal: controller.signal, onStep });
    await expect(first).rejects.toThrow(
      new CancelledError("stopped after step 3 of 10; the same command with --resume goes on"),
    );
    expect([existsSync(stopped), readdirSync(`${stopped}.run`).sort()]).toEqual([
      false,
      ["log.jsonl", "state.safetensors"],
    ]);
    await expect(run({ output: stopped })).rejects.toThrow(
      "holds a run that was stopped; add --resume to go on",
    );
    const other = run({ output: stopped, resume: true, recipe: { ...QUICK, lr: 2e-3 } });
    await expect(other).rejects.toThrow("its lr was 0.001 and is 0.002 now");
    const again = await run({ output: stopped, resume: true });
    expect(again.losses.length).toBe(7);
    expect(weights(stopped).equals(weights(whole))).toBe(true);
    expect(readdirSync(folder.path).sort()).toEqual(["stopped", "whole"]);
  });

  test("in bf16 gives about the same, and the same bits on any number of threads and after it was stopped", async () => {
    using folder = new TemporaryFolder();
    const recipe: Recipe = { ...QUICK, compute: "bf16" };
    const [whole, stopped, plain] = ["whole", "stopped", "plain"].map((name) => folder.file(name)) as [
      string,
      string,
      string,
    ];
    const narrow = await run({ output: whole, recipe });
    const wide = await run({ output: plain });
    expect(weights(whole).equals(weights(plain))).toBe(false);
    for (const [i, loss] of narrow.losses.entries())
      expect(Math.abs(loss - wide.losses[i]!)).toBeLessThan(0.02);
    expect(Math.abs(narrow.final!.loss - wide.final!.loss)).toBeLessThan(0.02);
    expect(startLines(narrow.start)[1]).toEndWith("products in bf16");
    expect(modelCard(narrow, { title: "t", command: "uffb finetune", version: "1", data: [] })).toContain(
      "bf16",
    );

    const controller = new AbortController();
    const onStep = ({ step }: { step: number }) => step === 3 && controller.abort();
    const first = run({ output: stopped, recipe, threads: 3, signal: controller.signal, onStep });
    await expect(first).rejects.toThrow(CancelledError);
    await expect(run({ output: stopped, resume: true })).rejects.toThrow("its compute was");
    await run({ output: stopped, recipe, resume: true, threads: 3 });
    expect(weights(stopped).equals(weights(whole))).toBe(true);
    expect(Object.keys(settingsOf(QUICK))).not.toContain("compute");
  });

  test("is stopped again and again, also at the end of an epoch", async () => {
    using folder = new TemporaryFolder();
    const whole = folder.file("whole");
    await run({ output: whole });
    const output = folder.file("out");
    for (const [i, last] of [2, 5, 6, 10].entries()) {
      const controller = new AbortController();
      const onStep = ({ step }: { step: number }) => step === last && controller.abort();
      await expect(run({ output, resume: i > 0, signal: controller.signal, onStep })).rejects.toThrow(
        "stopped after",
      );
    }
    const { losses } = await run({ output, resume: true });
    expect(losses).toEqual([]);
    expect(weights(output).equals(weights(whole))).toBe(true);
  });

  test("keeps the best epoch, or the last", async () => {
    const best = await run({ recipe: { ...QUICK, epochs: 3, lr: 0.05, clip: 1 } });
    const chosen = best.epochs.findLast((record) => record.best)!;
    expect(best.epoch).toBe(chosen.epoch);
    expect(best.final!.loss).toBeCloseTo(chosen.valid_loss!, 5);
    const last = await run({ recipe: { ...QUICK, epochs: 3, lr: 0.05, clip: 1, keep: "last" } });
    expect(last.epoch).toBe(3);
    expect(last.final!.loss).toBeCloseTo(last.epochs[2]!.valid_loss!, 5);
  });

  test("stops early when nothing gets better", async () => {
    const { epochs } = await run({ recipe: { ...QUICK, epochs: 9, lr: 0, patience: 2 } });
    expect(epochs.length).toBe(3);
  });

  test("a head alone is trained without the encoder", async () => {
    using folder = new TemporaryFolder();
    const recipe = { ...HEAD_ONLY, epochs: 3, batch: 8 };
    const tensors = async (name: string, lr: number) => {
      const output = folder.file(name);
      const { start, losses } = await run({ recipe: { ...recipe, lr }, output });
      expect(start.trained).toBe(256 * 256 + 256 + 2 * 256 + 2);
      expect(losses.at(-1)!).toBeLessThan(losses[0]!);
      return openSafetensors(`${output}/model.safetensors`);
    };
    const [a, b] = [await tensors("a", 1e-3), await tensors("b", 2e-3)];
    const changed = [...a].filter(([name, { data }]) => !Buffer.from(data).equals(b.get(name)!.data));
    expect(changed.map(([name]) => name).sort()).toEqual([
      "head.bias",
      "head.weight",
      "pooler.dense.bias",
      "pooler.dense.weight",
    ]);
  });

  test("layers that are frozen stay as they are", async () => {
    const { start } = await run({ recipe: { ...QUICK, epochs: 1, freeze: 3 } });
    expect(start.trained).toBeLessThan(start.parameters / 4);
    await expect(run({ recipe: { ...QUICK, freeze: 5 } })).rejects.toThrow(
      "--freeze 5 is more than the model's 4 layers",
    );
  });

  test("fewer examples than a batch are one", async () => {
    const warnings: string[] = [];
    const { losses } = await run({ onWarning: (text) => warnings.push(text) }, 6);
    expect(losses.length).toBe(2);
    expect(warnings).toEqual(["there are only 6 examples to train on, so that each step takes all of them"]);
  });
});

describe("what cannot go on", () => {
  test("a loss that is not a number names step and examples", async () => {
    using folder = new TemporaryFolder();
    const job = reviewJob(8, 0);
    job.kind = "regression";
    job.labels = [];
    job.metrics = [];
    job.train = { ...job.train, targets: job.train.targets.map((_, i) => (i === 5 ? 1e30 : 1)) };
    const options = { recipe: QUICK, threads: 1, output: folder.file("out") };
    await expect(finetune(job, options)).rejects.toThrow(
      /^step 1 of 2 \(epoch 1, batch 1\): the (loss|gradient) of .*reviews\.csv:7.* is not a number; look at these rows, lower --lr/,
    );
    expect(existsSync(folder.file("out"))).toBe(false);
  });

  test("a place that cannot be written to is found before the first step", async () => {
    using folder = new TemporaryFolder();
    mkdirSync(folder.file("there"));
    await expect(run({ output: folder.file("there") })).rejects.toThrow("there: is there already; remove it");
    await expect(run({ output: folder.file("none/out") })).rejects.toThrow("no such folder");
    await expect(run({ output: folder.file("out"), resume: true })).rejects.toThrow(
      "holds no run to go on with",
    );
  });

  test("a checkpoint that is damaged is refused", async () => {
    using folder = new TemporaryFolder();
    mkdirSync(folder.file("out.run"));
    writeFileSync(folder.file("out.run/state.safetensors"), "x".repeat(100));
    await expect(run({ output: folder.file("out"), resume: true })).rejects.toThrow(
      "is it a complete safetensors file?",
    );
  });
});

test("what a run says", async () => {
  const result = await run({ recipe: { ...QUICK, epochs: 1, lr: 1e-5 } });
  expect(startLines(result.start).join("\n")).toMatch(
    /4,265,727 parameters, a new head\n5 steps of 8 examples, 1 epoch; .*\nmemory: .* a token\).*\na step of \d+ tokens takes at least .* three forward passes/,
  );
  const text = outcomeText(result, 2);
  expect(text).toContain("label \\ said  bad  good");
  expect(text).toMatch(/times the least/);
  expect(confusion(result).length).toBe(3);
  const wrong = worst(result, 3);
  expect(wrong.every(({ label, prediction }) => label !== prediction)).toBe(true);
  const json = JSON.parse(outcomeJson(result, "o", 2));
  expect([json.output, json.task, json.epoch, json.labels]).toEqual([
    "o",
    "classification",
    1,
    ["bad", "good"],
  ]);
  const rows = confusion(result)
    .slice(1)
    .map((row) => row.trim().split(/\s+/).slice(1).map(Number));
  expect(json.confusion).toEqual(rows);
  expect(json.confusion.flat().reduce((sum: number, count: number) => sum + count, 0)).toBe(
    result.job.valid!.targets.length,
  );
});
