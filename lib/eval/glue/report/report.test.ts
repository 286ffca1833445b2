import { describe, expect, test } from "bun:test";
import type { Example } from "../../../data/examples.ts";
import { findTasks } from "../../../data/tasks.ts";
import { compare } from "../compare.ts";
import type { Evaluation } from "../evaluate.ts";
import type { Prediction } from "../predictions.ts";
import { average, PUBLISHED } from "../published.ts";
import { submissionFile } from "../submission.ts";
import { worstExamples } from "../worst.ts";
import { comparisonText } from "./compare.ts";
import { ladderJson, ladderText } from "./ladder.ts";
import { toJson, toText } from "./tasks.ts";

function evaluation(name: string, predictions: Prediction[], value = 0.5): Evaluation {
  const task = findTasks([name])[0]!;
  const examples = predictions.map(
    ({ index }): Example => ({ index, line: index + 1, texts: [`text ${index}\u001b[2J`, "b\tc"] }),
  );
  return {
    dataset: { task, split: "dev", files: ["d.tsv"], examples, bad: [], warnings: [] },
    model: "ckpt",
    predictions,
    metrics: task.metrics.map((metric, m) => ({
      metric,
      value: m === 0 ? value : Number.NaN,
      interval: [value - 0.1, value + 0.1],
    })),
    run: { seconds: 0.5, tokens: 100, threads: 2, instances: 1, isa: "avx2", fixedLength: false },
    longest: 9,
    truncated: 0,
    cosine: false,
    warnings: [],
  };
}

const SIX: Prediction[] = [
  { index: 0, label: 1, prediction: 1, logits: [-1, 1] },
  { index: 1, label: 0, prediction: 1, logits: [-0.1, 0.1] },
  { index: 3, label: 1, prediction: 0, logits: [3, -3] },
];

describe("report", () => {
  test("shows metrics, the published row beside ours, and the worst examples on one line each", () => {
    const mrpc = evaluation("mrpc", SIX, 0.875);
    const text = toText([{ evaluation: mrpc, worst: worstExamples(mrpc, 1) }]);
    expect(text.split("\n").map((line) => line.replaceAll(/ {2,}/g, " · "))).toEqual([
      "task · metric · score · 95% interval · examples · examples/s · tokens/s · engine · length · ISA",
      "MRPC · F1 · 87.50 · 77.50 to 97.50 · 3 · 6 · 200 · 2 threads · dynamic · avx2",
      " · accuracy · – · 77.50 to 97.50",
      "",
      "model · MRPC · average",
      "ckpt · 87.5 · –",
      "UltraFastBERT-1x11-long · 87.5 · 83.0",
      "",
      "MRPC · label · prediction · loss · text",
      " · 3 · equivalent · not_equivalent · 6.002 · text 3\\u001b[2J | b c",
      "",
    ]);
  });

  test.each([80, 140])("fits a terminal of %d columns", (columns) => {
    const tasks = ["mnli-m", "mnli-mm", "qqp", "qnli", "sst2", "stsb", "mrpc", "rte", "cola", "multirc"];
    const reports = tasks.map((name) => {
      const one = evaluation(name, SIX);
      const model = "pbelcak/UltraFastBERT-1x11-long";
      return { evaluation: { ...one, model }, worst: worstExamples(one, 1) };
    });
    const lines = toText(reports, columns).split("\n");
    expect(lines.filter((line) => Bun.stringWidth(line) > columns)).toEqual([]);
    expect(lines[0]).toMatch(/^task +metric +score +95% interval/);
    const rungs = [0.5, 1].map((seconds) => ({
      name: "dynamic length, 2 instances of one thread",
      run: { ...reports[0]!.evaluation.run, seconds },
      score: 0.9,
      logitError: 1e-5,
    }));
    const ladder = { rungs, examples: 400, fixedLength: 128, warnings: [] };
    const text = ladderText([{ task: findTasks(["mrpc"])[0]!, model: "m", ladder }], columns);
    expect(text.split("\n").filter((line) => Bun.stringWidth(line) > columns)).toEqual([]);
  });

  test("names the device that the encoder ran on, and its dtype", () => {
    const mrpc = evaluation("mrpc", SIX);
    const device = { index: 0, name: "A Card", dtype: "bf16" } as const;
    const on = { ...mrpc, run: { ...mrpc.run, device } };
    expect(toText([{ evaluation: on, worst: [] }])).toContain("  A Card, bf16  ");
    const [task] = JSON.parse(toJson([{ evaluation: on, worst: [] }])).tasks;
    expect([task.device, task.dtype]).toEqual(["A Card", "bf16"]);
    expect(toJson([{ evaluation: mrpc, worst: [] }])).not.toContain('"device"');
  });

  test("has no published row for tasks that are not in the paper's table", () => {
    expect(toText([{ evaluation: evaluation("boolq", SIX), worst: [] }])).not.toContain("UltraFastBERT");
  });

  test("JSON has null where a number is not defined, and the average only of all tasks", () => {
    const one = JSON.parse(toJson([{ evaluation: evaluation("mrpc", SIX), worst: [] }]));
    expect(one.tasks[0].metrics).toEqual([
      { metric: "f1", value: 0.5, interval: [0.4, 0.6] },
      { metric: "accuracy", value: null, interval: [0.4, 0.6] },
    ]);
    expect(one.tasks[0].unreadable).toEqual([]);
    expect([one.tasks[0].score, one.tasks[0].examples_per_second, one.average]).toEqual([0.5, 6, null]);
    const all = findTasks(["all"]).map(({ name }) => ({
      evaluation: evaluation(name, SIX, name === "cola" ? 0 : 0.8),
      worst: [],
    }));
    expect(JSON.parse(toJson(all)).average).toBeCloseTo(0.8, 12);
  });

  test("the published average is the mean of the published scores, MNLI counted twice", () => {
    for (const { scores, average: published } of PUBLISHED) {
      const mean = average(new Map(Object.entries(scores)))!;
      expect(Math.abs(mean - published)).toBeLessThanOrEqual(0.05 + 1e-9);
    }
  });

  test("shows a ladder's speed-up over its first rung, and what it cost", () => {
    const rung = (name: string, seconds: number, instances: number, logitError: number) => ({
      name,
      run: {
        seconds,
        tokens: 600,
        threads: instances > 1 ? 1 : 4,
        instances,
        isa: "avx2",
        fixedLength: name === "fixed",
      },
      score: 0.8 - logitError,
      logitError,
    });
    const rungs = [rung("fixed", 4, 1, 0), rung("int8", 0.5, 4, 0.012)];
    const reports = [
      {
        task: findTasks(["mrpc"])[0]!,
        model: "ckpt",
        ladder: { rungs, examples: 30, fixedLength: 128, warnings: [] },
      },
    ];
    expect(
      ladderText(reports)
        .split("\n")
        .map((line) => line.replaceAll(/ {2,}/g, " · ")),
    ).toEqual([
      "MRPC, 30 examples · engine · examples/s · tokens/s · speed-up · F1 · logit error · ISA",
      "fixed · 4 threads · 7.5 · 150 · 1.00x · 80.00 · 0 · avx2",
      "int8 · 4 instances · 60.0 · 1,200 · 8.00x · 78.80 · 0.012 · avx2",
      "",
    ]);
    expect(JSON.parse(ladderJson(reports)).ladders[0].rungs[1]).toMatchObject({
      name: "int8",
      instances: 4,
      examples_per_second: 60,
      speed_up: 8,
      logit_error: 0.012,
    });
  });

  test("compares two files in words", () => {
    const lines = comparisonText(compare(SIX, SIX, ["a", "b"]), ["a.jsonl", "b.jsonl"]).split("\n");
    expect(lines.slice(0, 3)).toEqual([
      "A: a.jsonl",
      "B: b.jsonl",
      "3 examples; intervals and p from a paired bootstrap",
    ]);
    expect(lines.at(-2)).toBe("right in A alone: 0, in B alone: 0; McNemar's exact test: p = 1.000");
  });
});

describe("worstExamples", () => {
  test("ranks wrong classes by loss and scores by distance", () => {
    expect(
      worstExamples(evaluation("mrpc", SIX), 9).map(({ index, loss }) => [index, Number(loss.toFixed(4))]),
    ).toEqual([
      [3, 6.0025],
      [1, 0.7981],
    ]);
    const scores: Prediction[] = [
      { index: 0, label: 2, prediction: 2, logits: [2] },
      { index: 1, label: 5, prediction: 1.5, logits: [1.5] },
      { index: 2, label: 0, prediction: 4, logits: [4] },
    ];
    expect(worstExamples(evaluation("stsb", scores), 1)).toEqual([
      { index: 2, label: "0", prediction: "4", loss: 4, texts: ["text 2\u001b[2J", "b\tc"] },
    ]);
  });
});

describe("submissionFile", () => {
  const test_ = (name: string, predictions: Prediction[]) => {
    const made = evaluation(name, predictions);
    return { ...made, dataset: { ...made.dataset, split: "test" as const } };
  };

  test.each([
    ["mrpc", "MRPC.tsv", "1", "1", "0"],
    ["qqp", "QQP.tsv", "1", "1", "0"],
    ["rte", "RTE.tsv", "not_entailment", "not_entailment", "entailment"],
    ["mnli-mm", "MNLI-mm.tsv", "neutral", "neutral", "entailment"],
    ["stsb", "STS-B.tsv", "1.000000", "1.000000", "0.000000"],
  ])("%s as the server reads it", (name, file, ...answers) => {
    const { name: written, text } = submissionFile(test_(name, SIX));
    expect(written).toBe(file);
    expect(text).toBe(`index\tprediction\n0\t${answers[0]}\n1\t${answers[1]}\n3\t${answers[2]}\n`);
  });

  test("is not written without every row, or with one that has no number", () => {
    const short = test_("mrpc", SIX);
    short.dataset.bad = [{ line: 4, error: "2 of 5 columns", file: "test.tsv" }];
    expect(() => submissionFile(short)).toThrow(
      "test.tsv:4: cannot be read (2 of 5 columns), and the server wants every row",
    );
    const nan = { index: 7, prediction: Number.NaN, logits: [Number.NaN, 0] };
    expect(() => submissionFile(test_("mrpc", [nan]))).toThrow(
      "MRPC: the model gives no number for test example 7",
    );
  });
});
