import { describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { NativeContext } from "../../ffi/context.ts";
import { pack, REFERENCE, TemporaryFolder } from "../../testing/folders.ts";
import type { WeightDtype } from "../convert/convert.ts";
import { BUILTIN as MODELS } from "../files/builtin.ts";
import { openSafetensors } from "../files/safetensors/safetensors.ts";
import { type Model, openModel } from "./model.ts";

const SHARED = fileURLToPath(new URL("../../../shared/", import.meta.url));
const BUILTIN = fileURLToPath(new URL("../../fixtures/model/model-tiny.uffb.safetensors", import.meta.url));
const TINY = ["model-tiny", "model-tiny-sst2", "model-tiny-mrpc", "model-tiny-stsb"];

/** Every tensor the engine needs is set. */
function isComplete({ native }: Model): boolean {
  return native.tensors().every(({ present, required }) => present || !required);
}

/** Logits of the reference's first sequence: [tokens, vocab] or [labels]. */
async function logits(model: Model, name: string): Promise<Float32Array> {
  const ids = openSafetensors(`${REFERENCE}${name}/expected.safetensors`).get("input_ids")!;
  const length = 5;
  const first = Int32Array.from({ length }, (_, i) => Number(Buffer.from(ids.data).readBigInt64LE(8 * i)));
  using context = new NativeContext(model.native, { threads: 1 });
  await context.encode({ offsets: BigInt64Array.of(0n, BigInt(length)), ids: first });
  // Awaited here: the context is gone after the return.
  return await (model.config.task === "mlm" ? context.mlmLogits([...first.keys()]) : context.classify());
}

describe.each(readdirSync(REFERENCE))("%s", (name) => {
  test("opens, and gives the same bits packed as in its folder", async () => {
    using folder = new TemporaryFolder();
    using model = await openModel(REFERENCE + name);
    expect(isComplete(model)).toBe(true);
    expect(model.warnings).toEqual([]);
    const path = folder.file("packed");
    await pack(REFERENCE + name, path);
    using packed = await openModel(path);
    const expected = await logits(model, name);
    expect(expected.length).toBeGreaterThan(0);
    expect(expected.every(Number.isFinite)).toBe(true);
    expect(await logits(packed, name)).toEqual(expected);
  });
});

describe("the built-in model", () => {
  test("opens, with its tokenizer", async () => {
    using model = await openModel();
    expect(isComplete(model)).toBe(true);
    expect(model).toMatchObject({ source: "the built-in model", warnings: [] });
    expect(model.config).toMatchObject({
      task: "mlm",
      arch: { layers: 4, hidden: 256, trees: 1, depth: 8, tied: 1 },
    });
    expect(model.tokenizer().vocabSize).toBe(model.config.arch.vocab);
    expect(model.tokenizer()).toBe(model.tokenizer());
  });

  test("of sentences opens, with its tokenizer and settings, and is 16 MB at most", async () => {
    using model = await openModel(undefined, "sentence");
    expect(isComplete(model)).toBe(true);
    expect(model).toMatchObject({ source: "the built-in sentence model", warnings: [] });
    expect(model.config).toMatchObject({ task: "embedding", arch: { layers: 4, hidden: 384 } });
    expect(model.sentence()).toMatchObject({ after: [{ kind: "Normalize" }] });
    expect(model.tokenizer().vocabSize).toBe(model.config.arch.vocab);
    const { size } = statSync(new URL(`../../${MODELS.sentence.path}`, import.meta.url));
    expect(size).toBeLessThanOrEqual(16e6);
  });

  test.skipIf(!existsSync(SHARED))("is what convert makes of ../shared/model-tiny", async () => {
    using folder = new TemporaryFolder();
    const path = folder.file("out");
    await pack(`${SHARED}model-tiny`, path, "F16");
    expect(Buffer.compare(readFileSync(path), readFileSync(BUILTIN))).toBe(0);
  });
});

describe.skipIf(!existsSync(SHARED))("trained models (from ../shared)", () => {
  test.each(TINY)("%s", async (name) => {
    using model = await openModel(SHARED + name);
    expect(isComplete(model)).toBe(true);
    expect(model.tokenizer().vocabSize).toBe(8192);
    const { id2label = {} } = JSON.parse(readFileSync(`${SHARED}${name}/config.json`, "utf8"));
    expect(model.config.labels as string[]).toEqual(Object.values(id2label));
  });
});

describe("a model without tokenizer", () => {
  test("opens, and says so when text is to be read", async () => {
    using model = await openModel(`${REFERENCE}fff-1x5`);
    expect(model.optionalTokenizer()).toBeUndefined();
    expect(() => model.tokenizer()).toThrow("fff-1x5: has no tokenizer.json");
  });
  test("opens when its tokenizer is damaged, too", async () => {
    using folder = new TemporaryFolder();
    for (const file of ["config.json", "model.safetensors"])
      copyFileSync(`${REFERENCE}fff-1x5/${file}`, folder.file(file));
    writeFileSync(folder.file("tokenizer.json"), "{");
    using model = await openModel(folder.path);
    expect(() => model.tokenizer()).toThrow("tokenizer.json: not valid JSON");
  });
});

test.each<WeightDtype>(["F32", "F16", "BF16"])(
  "a packed %s file brings its tokenizer along",
  async (dtype) => {
    using folder = new TemporaryFolder();
    const path = folder.file("out");
    await pack(BUILTIN, path, dtype);
    using model = await openModel(path);
    expect(model.tokenizer().specials.mask).toEqual({ id: 4, token: "<mask>" });
  },
);

test("a model without config.json is refused", async () => {
  using folder = new TemporaryFolder();
  copyFileSync(`${REFERENCE}fff-1x5/model.safetensors`, folder.file("model.safetensors"));
  await expect(openModel(folder.path)).rejects.toThrow("has no config.json");
});
