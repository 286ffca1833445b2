/** The parts of a run that need no model. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { TemporaryFolder } from "../../testing/folders.ts";
import { numbers } from "../../testing/train.ts";
import { METRIC_NAMES } from "../data/tasks.ts";
import { lossOf } from "../eval/losses.ts";
import { openSafetensors } from "../files/safetensors/safetensors.ts";
import { writeSafetensors } from "../files/safetensors/write.ts";
import { assemble, balancedWeights, type Examples, Plan } from "./batches.ts";
import { curvesSvg } from "./curves.ts";
import { RunLog } from "./log.ts";
import type { LogRecord } from "./records.ts";
import { learningRate } from "./schedule.ts";
import { openState } from "./state.ts";
import { isBetter, METRICS_OF, metricsOf, predictions, validation } from "./validate.ts";

describe("learningRate", () => {
  test("goes as in the original fine-tuning", () => {
    const path = fileURLToPath(
      new URL("../../fixtures/reference-train/cls-fff/steps.safetensors", import.meta.url),
    );
    const rates = numbers(openSafetensors(path).get("lr")!);
    for (const [step, rate] of rates.entries()) {
      const ours = learningRate({ shape: "cosine", peak: 1e-3, warmup: 0.1 }, step, rates.length);
      expect(Math.abs(ours - rate)).toBeLessThan(1e-9);
    }
  });

  test("as a triangle goes as in cramming, by the share of the budget", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e9 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (whole, at) => {
          const done = Math.floor(at * (whole - 1));
          const rate = learningRate({ shape: "triangle", peak: 1e-3, warmup: 0 }, done, whole);
          const share = done / whole;
          expect(rate).toBeCloseTo(1e-3 * (share < 0.75 ? 0.25 + share : 4 * (1 - share)), 12);
          expect(rate).toBeGreaterThan(0);
        },
      ),
    );
  });

  test("rises to the peak, and falls from it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("cosine", "linear", "constant"),
        fc.integer({ min: 1, max: 300 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (shape, steps, warmup) => {
          const rates = Array.from({ length: steps }, (_, step) =>
            learningRate({ shape, peak: 1, warmup }, step, steps),
          );
          expect(rates.every((rate) => rate > 0 && rate <= 1)).toBe(true);
          const after = rates.slice(Math.round(warmup * steps));
          expect(after.every((rate, i) => i === 0 || rate <= after[i - 1]!)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("Plan", () => {
  test("shows each example once an epoch, in an order of its own, the same for the same seed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(),
        (count, size, seed) => {
          const batch = Math.min(count, size);
          const plan = new Plan(count, batch, 3, seed);
          expect(plan.steps).toBe(3 * Math.floor(count / batch));
          const again = new Plan(count, batch, 3, seed);
          for (let epoch = 0; epoch < 3; epoch++) {
            const seen = Array.from({ length: plan.perEpoch }, (_, b) => [
              ...plan.members(epoch * plan.perEpoch + b),
            ]).flat();
            expect(seen.length).toBe(plan.perEpoch * batch);
            expect(new Set(seen).size).toBe(seen.length);
            expect(seen.every((i) => i < count)).toBe(true);
            // At any step, without the steps before it.
            expect([...again.members(epoch * plan.perEpoch)]).toEqual(seen.slice(0, batch));
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test("orders epochs differently", () => {
    const plan = new Plan(50, 50, 2, 1);
    expect([...plan.members(0)]).not.toEqual([...plan.members(1)]);
  });
});

test("assemble concatenates texts and targets in order", () => {
  const ids = (...list: number[]) => ({ ids: Int32Array.from(list) });
  const examples: Examples = {
    inputs: [ids(1, 2), ids(3), ids(4, 5, 6)],
    targets: [
      [1, 0],
      [0, 1],
      [1, 1],
    ],
    place: String,
    text: String,
  };
  const { batch, targets } = assemble(examples, [2, 0], "multi-label");
  expect([[...batch.offsets].map(Number), [...batch.ids], targets]).toEqual([
    [0, 3, 5],
    [4, 5, 6, 1, 2],
    Float32Array.of(1, 1, 1, 0),
  ]);
  const classes = assemble({ ...examples, targets: [4, 5, 6] }, [1], "classification");
  expect(classes.targets).toEqual(Int32Array.of(5));
});

test("balanced weights make classes count alike", () => {
  expect([...balancedWeights([0, 0, 0, 1], "classification", 3)]).toEqual([
    Math.fround(4 / 9),
    Math.fround(4 / 3),
    1,
  ]);
  expect([
    ...balancedWeights(
      [
        [1, 0],
        [0, 0],
        [0, 0],
      ],
      "multi-label",
      2,
    ),
  ]).toEqual([2, 1]);
});

test("losses", () => {
  expect(lossOf("classification", [1, 2], 1)).toBeCloseTo(Math.log1p(Math.exp(-1)), 12);
  expect(lossOf("classification", [1000, 0], 1)).toBe(1000);
  expect(lossOf("multi-label", [0, 800], [1, 1])).toBeCloseTo(Math.log(2) / 2, 12);
  expect(lossOf("multi-label", [-800], [1])).toBe(800);
  expect(lossOf("regression", [3], 1)).toBe(4);
  expect(lossOf("regression", [Number.NaN], 1)).toBe(Number.POSITIVE_INFINITY);
});

describe("validation", () => {
  test("scores classes, several labels and scores", () => {
    const classes = validation("classification", [0, 1, 1], Float32Array.of(1, 0, 0, 1, 1, 0), [
      "accuracy",
      "f1",
    ]);
    expect(classes.scores).toEqual({ accuracy: 2 / 3, f1: 2 / 3 });
    const several = validation(
      "multi-label",
      [
        [1, 0],
        [0, 1],
      ],
      Float32Array.of(1, -1, 1, 1),
      ["f1", "exact-match", "accuracy"],
    );
    expect(several.scores).toEqual({ f1: 0.8, "exact-match": 0.5, accuracy: 0.75 });
    const scores = validation("regression", [1, 2, 3], Float32Array.of(2, 4, 6), ["pearson"]);
    expect(scores.scores.pearson).toBeCloseTo(1, 12);
    expect(predictions("multi-label", [0, -1, Number.NaN])).toEqual([1, 0, Number.NaN]);
  });

  test("every metric is of some kind of task", () => {
    const used = new Set(Object.values(METRICS_OF).flat());
    expect([...used].sort()).toEqual([...METRIC_NAMES].sort());
  });

  test("F1 and Matthews are of two classes", () => {
    expect(metricsOf("classification", 2)).toContain("f1");
    expect(metricsOf("classification", 3)).toEqual(["accuracy", "macro-f1"]);
  });

  test("the better of two is so by the metric, then by the loss, and a number is better than none", () => {
    const of = (accuracy: number, loss: number) => ({ loss, scores: { accuracy } });
    expect(isBetter(of(0.5, 1), undefined, "accuracy")).toBe(true);
    expect(isBetter(of(0.6, 2), of(0.5, 1), "accuracy")).toBe(true);
    expect(isBetter(of(0.6, 2), of(0.5, 1), "loss")).toBe(false);
    expect(isBetter(of(0.5, 0.9), of(0.5, 1), "accuracy")).toBe(true);
    expect(isBetter(of(0.5, 1), of(0.5, 1), "accuracy")).toBe(false);
    expect(isBetter(of(Number.NaN, 1), of(0, 1), "accuracy")).toBe(false);
  });
});

describe("RunLog", () => {
  const record = (step: number): LogRecord => ({ event: "checkpoint", step });

  test("goes on where a checkpoint was written", () => {
    using folder = new TemporaryFolder();
    const path = folder.file("log.jsonl");
    let bytes: number;
    {
      using log = new RunLog(path);
      for (let step = 0; step < 100; step++) log.add(record(step));
      bytes = log.flush();
      log.add(record(1000));
    }
    using log = new RunLog(path, bytes);
    log.add(record(100));
    expect(log.records).toEqual(Array.from({ length: 101 }, (_, step) => record(step)));
    log.flush();
    const { size } = Bun.file(path);
    expect(size).toBe(bytes + JSON.stringify(record(100)).length + 1);
  });

  test("refuses another file", () => {
    using folder = new TemporaryFolder();
    const path = folder.file("log.jsonl");
    writeFileSync(path, "{}\nxxxxx");
    expect(() => new RunLog(path, 100)).toThrow("is not the log that the checkpoint beside it belongs to");
    expect(() => new RunLog(path, 8)).toThrow("is not the log that the checkpoint beside it belongs to");
    writeFileSync(path, '{"token":"hf_secret",}\n');
    expect(() => new RunLog(path, 22)).toThrow(
      "belongs to (a line of it is not valid JSON); remove the folder",
    );
  });
});

test("a checkpoint whose progress is damaged is refused", async () => {
  using folder = new TemporaryFolder();
  const about = { format: "uffb-run", version: "1", settings: "{}" };
  for (const [progress, message] of [
    ["{}", "step of its progress must be an integer"],
    ['{"step":1,"loss":"x","epochs":[]}', "loss of its progress must be a number"],
    ["[]", "is not a checkpoint of a training run"],
  ] as const) {
    await writeSafetensors(folder.file("state"), { ...about, progress }, []);
    expect(() => openState(folder.file("state"))).toThrow(message);
  }
});

test("a file that is not a checkpoint is refused", () => {
  const path = fileURLToPath(new URL("../../fixtures/reference/cls-2/model.safetensors", import.meta.url));
  expect(() => openState(path)).toThrow("is not a checkpoint of a training run");
});

test("curves are drawn of any run", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.double({ min: -1e6, max: 1e6 }), fc.double()), { maxLength: 30 }),
      fc.nat(3),
      (values, epochs) => {
        const steps: LogRecord[] = values.map((loss, i) => ({
          event: "step",
          step: i + 1,
          epoch: 1,
          loss,
          lr: 1,
          grad_norm: 1,
          tokens: 1,
          seconds: 1,
        }));
        const ends: LogRecord[] = Array.from({ length: epochs }, (_, i) => ({
          event: "epoch",
          epoch: i + 1,
          step: i + 1,
          train_loss: 1,
          valid_loss: values[0] ?? 1,
          scores: { accuracy: values[1] ?? 0 },
          seconds: 1,
        }));
        const svg = curvesSvg([...steps, ...ends], "a <b>");
        expect(svg).toContain("<title>a &lt;b>");
        expect(svg).toContain("@media(prefers-color-scheme:dark)");
        expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      },
    ),
    { numRuns: 50 },
  );
});
