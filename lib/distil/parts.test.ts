import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { UFFB_TAP_QK } from "../../ffi/bindings.ts";
import { PLAIN } from "../../ffi/plain.ts";
import { Random } from "../base/random.ts";
import { eigenvectors } from "./jacobi.ts";
import { Products, solveSymmetric } from "./least-squares.ts";
import { importance, largestOf } from "./narrow.ts";
import { askedOfClassifier, cosineLoss } from "./objective.ts";
import { type Compares, checkPlaces, guidedSize, layerMap, placesOf } from "./places.ts";
import { checkWeights, DISTIL_TASK, DISTIL_VECTORS } from "./recipe.ts";

const normal = (count: number, purpose: string) => new Random(1, purpose).normal(count, 1);

describe("least squares", () => {
  test("products are those of all samples, in any shape", () => {
    const sizes = fc.tuple(
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 600 }),
    );
    fc.assert(
      fc.property(sizes, ([as, bs, count]) => {
        const [a, b] = [normal(count * as, "a"), normal(count * bs, "b")];
        const products = new Products(as, bs);
        products.add(count, a, b);
        for (let i = 0; i < as; i++) {
          for (let j = 0; j < bs; j++) {
            let sum = 0;
            for (let t = 0; t < count; t++) sum += a[t * as + i]! * b[t * bs + j]!;
            expect(products.sums[i * bs + j]!).toBeCloseTo(sum, 9);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test("the solution solves", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 4 }), (n, columns) => {
        const a = normal(2 * n * n, "rows");
        const s = new Float64Array(n * n);
        for (let t = 0; t < 2 * n; t++)
          for (let i = 0; i < n; i++)
            for (let j = 0; j < n; j++) s[i * n + j]! += a[t * n + i]! * a[t * n + j]!;
        const b = Float64Array.from(normal(n * columns, "right"));
        const x = solveSymmetric(s, b, { n, columns, ridge: 0.5 });
        for (let i = 0; i < n; i++) {
          for (let c = 0; c < columns; c++) {
            let sum = 0.5 * x[i * columns + c]!;
            for (let j = 0; j < n; j++) sum += s[i * n + j]! * x[j * columns + c]!;
            expect(sum).toBeCloseTo(b[i * columns + c]!, 8);
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("eigenvectors", () => {
  test("turn a symmetric matrix into their values, the largest first", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), (n, rank) => {
        const rows = normal(rank * n, "matrix");
        const matrix = new Float64Array(n * n);
        for (let t = 0; t < rank; t++)
          for (let i = 0; i < n; i++)
            for (let j = 0; j < n; j++) matrix[i * n + j]! += rows[t * n + i]! * rows[t * n + j]!;
        const { values, vectors } = eigenvectors(matrix, n);
        expect([...values]).toEqual([...values].sort((a, b) => b - a));
        for (let i = 0; i < n; i++) {
          for (let j = 0; j < n; j++) {
            let [again, unit] = [0, 0];
            for (let c = 0; c < n; c++) {
              again += vectors[i * n + c]! * values[c]! * vectors[j * n + c]!;
              unit += vectors[i * n + c]! * vectors[j * n + c]!;
            }
            expect(again).toBeCloseTo(matrix[i * n + j]!, 8);
            expect(unit).toBeCloseTo(i === j ? 1 : 0, 10);
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("which neurons matter", () => {
  test("deviation times the column's length behind the norm, its mean left out", () => {
    // Columns of two neurons: (1, 1), whose mean is all there is of it, and (1, -1), of which the norm doubles the second number.
    const outWeight = Float32Array.of(1, 1, 1, -1);
    const statistics = { mean: Float64Array.of(0, 5), deviation: Float64Array.of(9, 2) };
    const found = importance({ outWeight }, statistics, Float32Array.of(1, 2));
    expect(found[0]).toBe(0);
    expect(found[1]).toBeCloseTo(2 * Math.sqrt(5), 12);
    expect(largestOf(found, 1)).toEqual([1]);
    expect(largestOf(Float64Array.of(3, 1, 3, 2, 3), 3)).toEqual([0, 2, 4]);
  });
});

/** With so many heads of 8 in each layer. */
const archOf = (heads: readonly number[]): Compares["arch"] => ({
  ...PLAIN,
  hidden: 64,
  heads: 3,
  headSize: 8,
  layerHeads: Int32Array.from(heads),
});

describe("which layer stands for which", () => {
  test("one that was kept, for itself and those left out behind it", () => {
    expect(layerMap(3, 6, [0, 2, 4])).toEqual([1, 3, 5]);
    expect(layerMap(4, 6, [0, 2, 3, 5])).toEqual([1, 2, 4, 5]);
    expect(layerMap(6, 6, [0, 1, 2, 3, 4, 5])).toEqual([0, 1, 2, 3, 4, 5]);
    expect(layerMap(2, 12)).toEqual([5, 11]);
  });

  test("of any two models: rising, and the last for the last", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 24 }), (student, teacher) => {
        const map = layerMap(student, teacher);
        expect(map.length).toBe(student);
        expect(map.at(-1)).toBe(teacher - 1);
        for (const [i, layer] of map.entries()) expect(layer).toBeGreaterThanOrEqual(map[i - 1] ?? 0);
      }),
    );
  });

  test("weights that are 0 ask for nothing, and layers share theirs", () => {
    expect(placesOf({ ...DISTIL_TASK, embedding: 0, final: 0 }, [0, 1], archOf([2, 2]))).toEqual([]);
    const recipe = { ...DISTIL_VECTORS, states: 1, embedding: 0.25, attention: 3 };
    const places = placesOf(recipe, [1, 3], archOf([2, 2, 2, 1]));
    expect(places.map(({ weight }) => weight)).toEqual([0.25, 0.5, 0.5, 1.5, 1.5]);
    expect(places.map(({ width }) => width)).toEqual([64, 64, 64, 32, 16]);
    expect(guidedSize(places, archOf([2, 2, 2, 1]))).toEqual({ guided: 240, guidedHead: 8 });
    expect(guidedSize(places.slice(0, 3), archOf([2]))).toEqual({ guided: 192, guidedHead: 0 });
  });

  test("attention of any two models is compared where all layers that meet have equally many heads", () => {
    const layers = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(layers, layers, fc.boolean(), (own, theirs, narrower) => {
        const student = { ...archOf(own), ...(narrower && { hidden: 48, headSize: 6 }) };
        const teacher = archOf(theirs);
        const map = layerMap(own.length, theirs.length);
        const recipe = { ...DISTIL_TASK, embedding: 0, final: 0, attention: 2 };
        const places = placesOf(recipe, map, teacher);
        expect(places.map(({ kind, layer }) => [kind, layer])).toEqual(own.map((_, i) => [UFFB_TAP_QK, i]));
        expect(places.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(2, 12);
        expect(guidedSize(places, teacher).guided).toBe(
          map.reduce((sum, layer) => sum + 2 * 8 * theirs[layer]!, 0),
        );
        const check = () =>
          checkPlaces(
            places,
            { source: "s", arch: student, sameTokens: true },
            { source: "t", arch: teacher },
          );
        const odd = own.findIndex((heads, i) => heads !== theirs[map[i]!]);
        if (odd === -1) check();
        else expect(check).toThrow(`layer ${odd} of s has ${own[odd]} head`);
      }),
    );
  });

  test("says which flags to leave out where models cannot be compared", () => {
    const arch = archOf([2, 2]);
    const check = (attention: number, other = {}, sameTokens = true, theirs = arch) =>
      checkPlaces(
        placesOf({ ...DISTIL_TASK, attention }, [0, 1], theirs),
        { source: "s", arch: { ...arch, ...other }, sameTokens },
        { source: "t", arch: theirs },
      );
    check(1);
    expect(() => check(1, {}, false)).toThrow(
      "their states cannot be compared; add --states 0 --embedding 0 --final 0 --attention 0",
    );
    expect(() => check(1, { hidden: 32 })).toThrow(
      "has states of 32 numbers, and its teacher of 64, so that they cannot be compared; add --states 0 --embedding 0 --final 0",
    );
    expect(() => check(1, {}, true, { ...arch, window: 4 })).toThrow("within windows");
  });
});

describe("what is asked of a student", () => {
  const logits = Float32Array.of(2, 0, -1, 1);

  test("the teacher's distribution, at a temperature, mixed with the label", () => {
    const { targets, options } = askedOfClassifier("classification", logits, [1, 0], DISTIL_TASK);
    expect(targets[0]!).toBeCloseTo(1 / (1 + Math.exp(-2)), 6);
    expect(options.scale).toBe(0.5);
    const warm = askedOfClassifier("classification", logits, [1, 0], { ...DISTIL_TASK, temperature: 4 });
    expect(warm.targets[0]!).toBeCloseTo(1 / (1 + Math.exp(-0.5)), 6);
    expect(warm.options).toMatchObject({ temperature: 4, scale: 8 });
    const hard = askedOfClassifier("classification", logits, [1, 0], { ...DISTIL_TASK, hardLabels: 1 });
    expect([...hard.targets]).toEqual([0, 1, 1, 0]);
  });

  test("scores as they are, and each of several labels' probability", () => {
    expect(askedOfClassifier("regression", logits, [0, 0, 0, 0], DISTIL_TASK).targets).toBe(logits);
    const several = askedOfClassifier(
      "multi-label",
      logits,
      [
        [0, 1],
        [1, 0],
      ],
      DISTIL_TASK,
    );
    expect(several.targets[1]).toBe(0.5);
  });

  test("the loss of vectors is how far their directions are apart", () => {
    expect(cosineLoss(Float32Array.of(1, 0, 0, 2), Float32Array.of(3, 0, -5, 0), 2)).toBe(0.5);
  });
});

test.each([
  [
    { ...DISTIL_VECTORS, temperature: 2 },
    "vectors",
    "--temperature 2 is for a teacher that tells classes apart",
  ],
  [{ ...DISTIL_VECTORS, hardLabels: 0.5 }, "vectors", "--hard-labels is for a classifier"],
  [
    { ...DISTIL_TASK, similarity: 1 },
    "classification",
    "--similarity is for a teacher that makes sentence vectors",
  ],
] as const)("refuses what is not for the teacher", (recipe, compared, message) => {
  expect(() => checkWeights(recipe, compared)).toThrow(message);
});
