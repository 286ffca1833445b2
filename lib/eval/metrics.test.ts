import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import reference from "../../fixtures/glue/metrics.json";
import { METRIC_NAMES, type MetricName } from "../data/tasks.ts";
import { METRICS, type Scored, score } from "./metrics.ts";

const scored = (labels: number[], predictions: number[], groups?: number[]): Scored => ({
  labels: Float64Array.from(labels),
  predictions: Float64Array.from(predictions),
  ...(groups ? { groups: Int32Array.from(groups) } : {}),
});

describe("metrics", () => {
  test("all have values of a reference", () => {
    const compared = new Set(reference.cases.flatMap(({ values }) => Object.keys(values)));
    expect([...compared].sort()).toEqual([...METRIC_NAMES].sort());
  });

  for (const item of reference.cases) {
    test(`agree with ${reference.source}: ${item.name}`, () => {
      for (const [name, value] of Object.entries(item.values)) {
        const ours = score(name as MetricName, scored(item.labels, item.predictions, item.groups));
        if (value === null) expect(ours).toBeNaN();
        else expect(ours).toBeCloseTo(value, 12);
      }
    });
  }

  test("a prediction that is no number is wrong, and undoes a correlation", () => {
    const data = scored([1, 0, 1], [1, Number.NaN, Number.NaN]);
    expect(score("accuracy", data)).toBeCloseTo(1 / 3, 12);
    expect(score("f1", data)).toBeCloseTo(2 / 3, 12);
    expect(score("macro-f1", data)).toBeCloseTo((2 / 3 + 0) / 2, 12);
    expect(score("matthews", data)).toBe(0);
    expect(score("pearson", data)).toBeNaN();
    expect(score("spearman", data)).toBeNaN();
  });

  test("a weight of n is the example n times", () => {
    const example = fc.record({ label: fc.nat(1), prediction: fc.nat(1), weight: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(example, { minLength: 1, maxLength: 20 }), fc.boolean(), (examples, real) => {
        const value = (n: number, i: number) => (real ? n + ((i * 7) % 5) : n);
        const labels = examples.map((e, i) => value(e.label, i));
        const predictions = examples.map((e, i) => value(e.prediction, i * i));
        const order = examples.flatMap((e, i) => Array<number>(e.weight).fill(i));
        const repeated = scored(
          order.map((i) => labels[i]!),
          order.map((i) => predictions[i]!),
        );
        const weights = Float64Array.from(examples, (e) => e.weight);
        const names = real
          ? (["pearson", "spearman"] as const)
          : METRIC_NAMES.filter((name) => name !== "exact-match");
        for (const name of names) {
          const weighted = METRICS[name].of(scored(labels, predictions))(weights);
          const plain = score(name, repeated);
          if (Number.isNaN(plain)) expect(weighted).toBeNaN();
          else expect(weighted).toBeCloseTo(plain, 9);
        }
      }),
    );
  });
});
