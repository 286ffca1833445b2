import { describe, expect, test } from "bun:test";
import { newConfig } from "../../model/crammed-config.ts";
import { parseFeedforward } from "../../model/families/feedforward.ts";
import { type Init, newTrainer } from "./initial.ts";

const HIDDEN = 96;

/** The standard deviation of each matrix of a new model. */
function deviations(shape: string, init: Init): Record<string, number> {
  const model = {
    feedforward: parseFeedforward(shape),
    layers: 1,
    hidden: HIDDEN,
    heads: 2,
    vocab: 64,
    maxLength: 16,
  };
  using trainer = newTrainer(newConfig(model).config, { seed: 5, init, positionFactor: 0 });
  const matrices = trainer
    .parameters()
    .filter(({ name, rows, cols }) => name.endsWith("weight") && rows * cols > HIDDEN);
  return Object.fromEntries(
    [...matrices.map(({ name }) => name), "embed.word"].map((name) => {
      const weights = trainer.get(name);
      return [name, Math.sqrt(weights.reduce((sum, weight) => sum + weight * weight, 0) / weights.length)];
    }),
  );
}

describe("first weights", () => {
  test("are N(0, 0.02) as published", () => {
    const found = Object.values(deviations("dense:40+3x4", "published"));
    expect(found.length).toBeGreaterThan(5);
    for (const deviation of found) expect(deviation / 0.02).toBeCloseTo(1, 1);
  });

  test.each([
    [
      "dense:40+3x4",
      { "ffn.in.weight": HIDDEN, "ffn.out.weight": 40, "fff.in.weight": HIDDEN, "fff.out.weight": 5 },
    ],
    ["2x6", { "fff.in.weight": HIDDEN, "fff.out.weight": 7 }],
    ["glu:60", { "ffn.in.weight": HIDDEN, "ffn.out.weight": 30 }],
  ])("follow from the inputs that are summed: %s", (shape, inputs) => {
    const found = deviations(shape, "fan-in");
    const expected = { "attn.qkv.weight": HIDDEN, "attn.out.weight": HIDDEN, ...inputs };
    expect(found["embed.word"]! * Math.sqrt(HIDDEN)).toBeCloseTo(1, 1);
    for (const [name, n] of Object.entries(expected))
      expect(found[`layer.0.${name}`]! * Math.sqrt(3 * n), name).toBeCloseTo(1, 1);
  });
});
