import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pack, REFERENCE, TemporaryFolder } from "../../testing/folders.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openModel } from "../model/model.ts";
import { MASKED_SENTENCES, PLAIN_SENTENCES } from "../text/sample.ts";
import { type Cost, costOf } from "./cost.ts";
import { costLines } from "./report.ts";

const BUILTIN = fileURLToPath(new URL("../../fixtures/model/model-tiny.uffb.safetensors", import.meta.url));

test.each(["F16", "BF16", "I8"] as const)("tells what %s changes in the built-in model", async (dtype) => {
  using folder = new TemporaryFolder();
  const path = folder.file("packed");
  await pack(BUILTIN, path, dtype);
  const cost = await costOf(openCheckpoint(BUILTIN), path, { to: "packed", dtype });
  expect(cost.sentences).toBe(MASKED_SENTENCES.length);
  expect(cost.answers).toBe(MASKED_SENTENCES.join("").split("[MASK]").length - 1);
  expect(cost.paths.length).toBe(4);
  expect(cost.error.largest).toBeGreaterThan(5);
  if (dtype === "F16") {
    // The built-in model is stored so, and loses nothing.
    expect(cost).toMatchObject({ paths: [0, 0, 0, 0], error: { max: 0, rms: 0 }, same: cost.answers });
  } else {
    expect(cost.error.rms).toBeGreaterThan(0);
    expect(cost.error.max).toBeGreaterThan(cost.error.rms);
    expect(cost.error.max).toBeLessThan(0.2 * cost.error.largest);
    expect(cost.paths.every((share) => share < 0.05)).toBe(true);
    expect(cost.paths.at(-1)).toBeGreaterThan(0);
    expect(cost.same / cost.answers).toBeGreaterThan(0.96);
  }
  expect(readdirSync(folder.path)).toEqual(["packed"]);
});

test("without a tokenizer it cannot be told", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("packed");
  await pack(`${REFERENCE}cls-2`, path, "BF16");
  const cost = costOf(openCheckpoint(`${REFERENCE}cls-2`), path, { to: "packed", dtype: "BF16" });
  await expect(cost).rejects.toThrow("has no tokenizer.json");
  expect(readdirSync(folder.path)).toEqual(["packed"]);
});

test("says it in a few lines", () => {
  const cost: Cost = {
    sentences: 48,
    tokens: 678,
    paths: [0, 0.002, 0.1],
    error: { of: "logits", max: 0.123, rms: 0.0123, largest: 15.61 },
    answers: 99,
    same: 98,
  };
  expect(costLines(cost, "bf16")).toEqual([
    "What bf16 changes, on 48 built-in sentences of 678 tokens:",
    "  paths     3.4% changed; by layer: 0.0% 0.20% 10.0%",
    "  logits    by 0.12 at most, 0.012 on average (rms); the largest is 15.6",
    "  answers   1 of 99 changed: 99.0% have the same best one",
  ]);
  expect(costLines({ ...cost, paths: [], answers: 0 }, "bf16").length).toBe(2);
});

test("the sentences are as they should be", async () => {
  using model = await openModel();
  expect(MASKED_SENTENCES.length).toBe(PLAIN_SENTENCES.length);
  for (const [i, masked] of MASKED_SENTENCES.entries()) {
    const plain = PLAIN_SENTENCES[i]!;
    expect(`${masked} ${plain}`).not.toMatch(/[{}]/);
    const pattern = masked.split("[MASK]").join("\\w+");
    expect(plain).toMatch(new RegExp(`^${pattern}$`));
    expect(masked.split("[MASK]").length).toBeGreaterThan(2);
    expect(model.tokenizer().encode(plain).ids.length).toBeLessThan(64);
  }
});
