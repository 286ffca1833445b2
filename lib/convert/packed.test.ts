import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { UFFB_F32, UFFB_ROWS } from "../../ffi/bindings.ts";
import { convertMatrix } from "../../ffi/matrix.ts";
import { pack, REFERENCE, reference, sources, TemporaryFolder, writeModel } from "../../testing/folders.ts";
import { UffbError } from "../base/errors.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openTensorFile } from "../files/safetensors/safetensors.ts";
import { writeSafetensors } from "../files/safetensors/write.ts";
import { loadConfig } from "../model/config.ts";
import { openModel } from "../model/model.ts";
import { type Binding, bindTensors } from "../model/roles.ts";
import type { WeightDtype } from "./convert.ts";

const MODELS = readdirSync(REFERENCE);

/** What the engine would hold: f32 rows of every tensor, by engine name. */
function unpacked(path: string): Map<string, Uint8Array> {
  const checkpoint = openCheckpoint(path);
  const { bindings, native } = bindTensors(loadConfig(checkpoint), checkpoint);
  native[Symbol.dispose]();
  const rows = ({ wanted: { rows, cols }, tensor, dtype, layout }: Binding) =>
    convertMatrix(rows, cols, tensor.data, { dtype, layout }, { dtype: UFFB_F32, layout: UFFB_ROWS });
  return new Map(bindings.map((binding) => [binding.wanted.name, rows(binding)]));
}

async function packed(folder: TemporaryFolder, model: string, dtype: WeightDtype = "F32"): Promise<string> {
  const path = folder.file(`${model}-${dtype}.uffb.safetensors`);
  await pack(REFERENCE + model, path, dtype);
  return path;
}

test.each(MODELS)("packs %s in f32 without changing a bit", async (model) => {
  using folder = new TemporaryFolder();
  const before = unpacked(REFERENCE + model);
  const path = await packed(folder, model);
  const after = unpacked(path);
  expect([...after.keys()]).toEqual([...before.keys()]);
  for (const [name, data] of before) expect(Buffer.compare(after.get(name)!, data)).toBe(0);
  expect(readdirSync(folder.path).length).toBe(1);

  // Packing what is packed already changes nothing at all.
  const again = folder.file("again");
  await pack(path, again);
  expect(Buffer.compare(readFileSync(again), readFileSync(path))).toBe(0);
});

test.each([
  ["F16", 2 ** -11],
  ["BF16", 2 ** -8],
] as const)("packs in %s within its precision, and vectors exactly", async (dtype, precision) => {
  using folder = new TemporaryFolder();
  const before = unpacked(`${REFERENCE}fff-1x5`);
  const path = await packed(folder, "fff-1x5", dtype);
  const { tensors } = openTensorFile(path);
  for (const [name, data] of unpacked(path)) {
    const exact = new Float32Array(before.get(name)!.buffer);
    const close = new Float32Array(data.buffer);
    const matrix = tensors.get(name)!.dtype === dtype;
    expect(matrix).toBe(/word|weight$/.test(name) && !name.includes("norm"));
    const step = (value: number) => (matrix ? Math.max(Math.abs(value), 2 ** -14) * precision : 0);
    expect(close.every((value, i) => Math.abs(value - exact[i]!) <= step(exact[i]!))).toBe(true);
  }
});

test("lays tensors out for the engine: aligned, in its layout, used in place", async () => {
  using folder = new TemporaryFolder();
  const path = await packed(folder, "fff-1x5");
  const { tensors, metadata } = openTensorFile(path);
  expect(metadata).toEqual({ format: "uffb", version: "1", layout: "panels16" });
  expect(tensors.get("embed.word")).toMatchObject({ dtype: "F32", shape: [32, 64, 16] });
  expect(tensors.get("layer.0.fff.out.weight")!.shape).toEqual([63, 64]);
  expect(Buffer.from(tensors.get("config.json")!.data).toString()).toBe(
    readFileSync(`${REFERENCE}fff-1x5/config.json`, "utf8"),
  );
  for (const [name, { data }] of tensors) if (!name.startsWith("pad.")) expect(data.byteOffset % 64).toBe(0);
  using model = await openModel(path);
  expect(model.native.tensors().every(({ present, required }) => present || !required)).toBe(true);
});

describe("NaNs and infinities", () => {
  const broken = (folder: TemporaryFolder, value: number) => {
    const { config, tensors } = reference("fff-1x5");
    const name = "encoder.layers.1.ffn.linear_in.weight";
    const numbers = new Float32Array(tensors.get(name)!.data.slice().buffer);
    numbers[17] = value;
    tensors.set(name, { ...tensors.get(name)!, data: new Uint8Array(numbers.buffer) });
    return writeModel(folder, { config, tensors });
  };
  test.each([Number.NaN, Number.NEGATIVE_INFINITY])(
    "%p is a warning, in the folder and in what it is packed to",
    async (value) => {
      using folder = new TemporaryFolder();
      const path = broken(folder, value);
      const { weights } = await pack(path, folder.file("out"), "F16");
      const names = weights.filter(({ finite }) => !finite).map(({ binding }) => binding.name);
      expect(names).toEqual(["encoder.layers.1.ffn.linear_in.weight"]);
      using model = await openModel(path);
      expect(model.warnings).toEqual([
        `${path}: tensor encoder.layers.1.ffn.linear_in.weight has NaNs or infinities; results may be meaningless`,
      ]);
      using packedModel = await openModel(folder.file("out"));
      expect(packedModel.warnings[0]).toContain("tensor layer.1.fff.in.weight has NaNs or infinities");
    },
  );
  test.each([
    ["names that are none of its tensors", "a ".repeat(1_000_000)],
    ["one name many times", "layer.1.fff.in.weight ".repeat(100_000)],
    ["names of objects", "constructor __proto__"],
  ])("a packed file's list of %s says nothing", async (_, list) => {
    using folder = new TemporaryFolder();
    await pack(broken(folder, Number.NaN), folder.file("out"));
    const { metadata, tensors } = openTensorFile(folder.file("out"));
    await writeSafetensors(folder.file("list"), { ...metadata, not_finite: list }, sources(tensors));
    using model = await openModel(folder.file("list"));
    expect(model.warnings).toEqual([]);
  });

  test("a number beyond half precision is an error, not an infinity", async () => {
    using folder = new TemporaryFolder();
    const path = broken(folder, 1e6);
    await expect(pack(path, folder.file("out"), "F16")).rejects.toThrow(
      "tensor encoder.layers.1.ffn.linear_in.weight has weights beyond the range of f16; use another --dtype",
    );
    expect(existsSync(folder.file("out"))).toBe(false);
    const { weights } = await pack(path, folder.file("out"), "BF16");
    expect(weights.every(({ finite }) => finite)).toBe(true);
  });
});

describe("refuses", () => {
  /** The packed model with other metadata or tensors. */
  const changed = async (folder: TemporaryFolder, change: Parameters<typeof edit>[2]) =>
    edit(folder, "fff-1x5", change);
  async function edit(
    folder: TemporaryFolder,
    model: string,
    change: (file: {
      metadata: Record<string, string>;
      tensors: ReturnType<typeof reference>["tensors"];
    }) => void,
  ) {
    const { metadata, tensors } = openTensorFile(await packed(folder, model));
    const file = {
      metadata: { ...metadata },
      tensors: new Map([...tensors].filter(([name]) => !name.startsWith("pad."))),
    };
    change(file);
    const path = folder.file("changed");
    await writeSafetensors(path, file.metadata, sources(file.tensors));
    return () => openModel(path);
  }
  const f32 = (shape: number[]) => ({
    dtype: "F32",
    shape,
    data: new Uint8Array(4 * shape.reduce((a, b) => a * b)),
  });

  test.each<[string, Parameters<typeof edit>[2], string]>([
    [
      "another version",
      ({ metadata }) => (metadata.version = "2"),
      "its version is 2, and this uffb reads 1",
    ],
    ["another layout", ({ metadata }) => delete metadata.layout, "its layout is missing"],
    ["no config", ({ tensors }) => tensors.delete("config.json"), "has no config.json"],
    [
      "no config, but numbers",
      ({ tensors }) => tensors.set("config.json", f32([4])),
      "config.json is F32 instead of U8",
    ],
    [
      "a missing tensor",
      ({ tensors }) => tensors.delete("layer.1.fff.in.bias"),
      "lacks the tensor layer.1.fff.in.bias",
    ],
    [
      "an unexpected tensor",
      ({ tensors }) => tensors.set("layer.2.fff.in.bias", f32([63])),
      "unexpected tensor layer.2",
    ],
    [
      "too few panels",
      ({ tensors }) => tensors.set("embed.word", f32([31, 64, 16])),
      "F32 [31, 64, 16], but config.json asks for [32, 64, 16]",
    ],
    [
      "rows for panels",
      ({ tensors }) => tensors.set("embed.word", f32([512, 64])),
      "tensor embed.word is F32 [512, 64]",
    ],
    [
      "whole numbers",
      ({ tensors }) => tensors.set("final_norm.bias", { ...f32([64]), dtype: "I32" }),
      "final_norm.bias is I32",
    ],
  ])("%s", async (_, change, message) => {
    using folder = new TemporaryFolder();
    await expect((await changed(folder, change))()).rejects.toThrow(message);
  });

  test("a file cut short", async () => {
    using folder = new TemporaryFolder();
    const bytes = readFileSync(await packed(folder, "fff-1x5"));
    for (const length of [0, 7, 100, bytes.length - 1]) {
      writeFileSync(folder.file("cut"), bytes.subarray(0, length));
      await expect(openModel(folder.file("cut"))).rejects.toThrow(UffbError);
    }
  });
});

test("any change of a packed file's start gives a model or one clear error", async () => {
  using folder = new TemporaryFolder();
  const bytes = readFileSync(await packed(folder, "fff-3x2"));
  const length = Number(bytes.readBigUInt64LE(0));
  const header = bytes.subarray(8, 8 + length).toString();
  // Changes that leave it valid JSON reach much deeper than flipped bytes.
  const numbers = [...header.matchAll(/\d+/g)];
  const config = bytes.lastIndexOf('"arch"');
  const path = folder.file("mutant");
  const edit = fc.tuple(
    fc.constantFrom(...numbers),
    fc.constantFrom("0", "1", "7", "64", "4096", "99999999", "-1"),
  );
  const flip = fc.tuple(fc.integer({ min: config, max: config + 1200 }), fc.constantFrom(...'0129-"{}, '));
  await fc.assert(
    fc.asyncProperty(
      fc.array(edit, { maxLength: 1 }),
      fc.array(flip, { maxLength: 3 }),
      async (edits, flips) => {
        let text = header;
        for (const [{ index, 0: number }, value] of edits) {
          text = text.slice(0, index) + value.padEnd(number.length) + text.slice(index + number.length);
        }
        const mutant = Buffer.concat([
          bytes.subarray(0, 8),
          Buffer.from(text).subarray(0, length),
          bytes.subarray(8 + length),
        ]);
        for (const [at, char] of flips) if (at < mutant.length) mutant[at] = char.charCodeAt(0);
        writeFileSync(path, mutant);
        try {
          (await openModel(path))[Symbol.dispose]();
        } catch (error) {
          if (!(error instanceof UffbError)) throw error;
        }
      },
    ),
    { numRuns: 500 },
  );
});
