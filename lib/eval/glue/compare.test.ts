import { describe, expect, test } from "bun:test";
import reference from "../../../fixtures/glue/metrics.json";
import { interval, resample } from "../bootstrap.ts";
import { METRICS } from "../metrics.ts";
import { compare, mcnemarP } from "./compare.ts";
import { type Prediction, parsePredictions, predict, predictionLines } from "./predictions.ts";

/** `right` of `n` examples predicted right, alternating labels. */
const model = (n: number, right: (i: number) => boolean): Prediction[] =>
  Array.from({ length: n }, (_, index) => {
    const label = index % 2;
    const prediction = right(index) ? label : 1 - label;
    return { index, label, prediction, logits: prediction ? [-1, 1] : [1, -1] };
  });

describe("bootstrap", () => {
  test("is the normal interval for a share, and the same every time", () => {
    const labels = new Float64Array(1000).fill(1);
    const predictions = labels.map((_, i) => (i % 5 === 0 ? 0 : 1));
    const accuracy = METRICS.accuracy.of({ labels, predictions });
    const [values] = resample(1000, [accuracy]) as [Float64Array];
    const [low, high] = interval(values);
    const half = 1.96 * Math.sqrt((0.8 * 0.2) / 1000);
    expect(Math.abs(low - (0.8 - half))).toBeLessThan(0.004);
    expect(Math.abs(high - (0.8 + half))).toBeLessThan(0.004);
    expect(resample(1000, [accuracy])[0]).toEqual(values);
  });

  test("draws whole units: answers to one question do not count as independent", () => {
    const examples = 400;
    const labels = new Float64Array(examples).fill(1);
    const predictions = labels.map((_, i) => (Math.floor(i / 20) % 2 === 0 ? 1 : 0));
    const units = Int32Array.from(labels, (_, i) => Math.floor(i / 20));
    const accuracy = METRICS.accuracy.of({ labels, predictions });
    const width = (of: Float64Array[]) => {
      const [low, high] = interval(of[0]!);
      return high - low;
    };
    expect(width(resample(examples, [accuracy], units))).toBeGreaterThan(
      3 * width(resample(examples, [accuracy])),
    );
  });

  test("leaves out resamples on which a metric is not defined", () => {
    expect(interval(Float64Array.of(Number.NaN, 1, Number.NaN, 3))).toEqual([1.05, 2.95]);
    expect(interval(Float64Array.of(Number.NaN))).toEqual([Number.NaN, Number.NaN]);
  });
});

describe("McNemar", () => {
  test(`agrees with the exact binomial test of ${reference.source}`, () => {
    for (const { b, c, p } of reference.mcnemar) expect(Math.abs(mcnemarP(b, c) / p - 1)).toBeLessThan(1e-9);
  });
});

describe("compare", () => {
  test("finds a clear difference, whatever the order of the files", () => {
    const a = model(200, (i) => i % 2 === 0);
    const b = model(200, (i) => i % 10 !== 0);
    const { metrics, mcnemar } = compare(a, b.toReversed(), ["a", "b"]);
    const accuracy = metrics[0]!;
    expect([accuracy.metric, accuracy.a, accuracy.b]).toEqual(["accuracy", 0.5, 0.9]);
    expect(accuracy.difference).toBeCloseTo(0.4, 12);
    expect(accuracy.interval[0]).toBeGreaterThan(0.25);
    expect(accuracy.interval[1]).toBeLessThan(0.55);
    expect(accuracy.p).toBeLessThan(0.01);
    expect(mcnemar).toEqual({ onlyA: 20, onlyB: 100, p: mcnemarP(20, 100) });
  });

  test("draws questions, not their answers, where predictions say which belong together", () => {
    const a = model(400, (i) => Math.floor(i / 20) % 2 === 0);
    const b = model(400, (i) => Math.floor(i / 20) % 3 === 0);
    const grouped = (side: Prediction[]) =>
      side.map((one, i) => ({ ...one, group: `q${Math.floor(i / 20)}` }));
    const again = (side: Prediction[]) => parsePredictions(Buffer.from(predictionLines(side)), "x");
    const apart = compare(a, b, ["a", "b"]);
    const together = compare(again(grouped(a)), again(grouped(b)), ["a", "b"]);
    const width = ({ metrics: [first] }: typeof apart) => first!.interval[1] - first!.interval[0];
    expect(width(together)).toBeGreaterThan(3 * width(apart));
    expect(together.metrics[0]!.difference).toBe(apart.metrics[0]!.difference);
    expect([apart.mcnemar === undefined, together.mcnemar === undefined]).toEqual([false, true]);
  });

  test("finds none between a model and itself", () => {
    const a = model(50, (i) => i % 3 > 0);
    const { metrics, mcnemar } = compare(a, a, ["a", "a"]);
    expect(metrics.map(({ difference, p }) => [difference, p])).toEqual([
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
    expect(mcnemar!.p).toBe(1);
  });

  test("compares regressions by correlation", () => {
    const side = (noise: number): Prediction[] =>
      Array.from({ length: 60 }, (_, index) => {
        const prediction = index + noise * ((index * 37) % 60);
        return { index, label: index, prediction, logits: [prediction] };
      });
    const { metrics, mcnemar } = compare(side(0), side(3), ["a", "b"]);
    expect(metrics.map(({ metric }) => metric)).toEqual(["pearson", "spearman"]);
    expect(metrics[0]!.a).toBeCloseTo(1, 12);
    expect(metrics[0]!.interval[1]).toBeLessThan(0);
    expect(mcnemar).toBeUndefined();
  });

  test("refuses predictions of other examples", () => {
    const a = model(4, () => true);
    const other = a.map((p) => ({ ...p, label: 1 - p.label! }));
    expect(() => compare(a, a.slice(1), ["A", "B"])).toThrow("B: no index 0, which A has");
    expect(() => compare(a.slice(1), a, ["A", "B"])).toThrow("A has 3 predictions, B has 4");
    expect(() => compare(a, other, ["A", "B"])).toThrow("A and B differ in the label of index 0");
  });
});

describe("predictions", () => {
  const parse = (text: string) => parsePredictions(new TextEncoder().encode(text), "p.jsonl");

  test("are read back as written", () => {
    const written: Prediction[] = [
      { index: 3, label: 1, prediction: 0, logits: [0.5, -0.25] },
      { index: 1, label: 0, prediction: Number.NaN, logits: [Number.NaN, 1] },
    ];
    expect(parse(predictionLines(written))).toEqual(written);
    expect(
      parse(predictionLines([{ index: 0, label: 4.5, prediction: 3.25, logits: [3.25] }]))[0]!.label,
    ).toBe(4.5);
  });

  test("take the first of equal logits, and none of what is no number", () => {
    expect(predict([0, 2, 2])).toBe(1);
    expect(predict([-3.5])).toBe(-3.5);
    expect(predict([Number.NaN, 1])).toBeNaN();
  });

  test.each([
    ["", "p.jsonl: no predictions"],
    ["{}\n", "p.jsonl:1: not"],
    ["nope\n", "p.jsonl:1: not"],
    ['{"index":0,"label":2,"prediction":0,"logits":[1,2]}', "p.jsonl:1: not"],
    ['{"index":0,"label":1,"prediction":0.5,"logits":[1,2]}', "p.jsonl:1: not"],
    ['{"index":0,"prediction":0,"logits":[1,2]}', "p.jsonl:1: not"],
    [
      '{"index":0,"label":1,"prediction":0,"logits":[1,2]}\n{"index":0,"label":1,"prediction":0,"logits":[1,2]}',
      "p.jsonl:2: index 0",
    ],
  ])("refuse %j", (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});
