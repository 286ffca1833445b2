import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { UFFB_F16, UFFB_F32, UFFB_PANELS, UFFB_ROWS } from "../../ffi/bindings.ts";
import { NativeContext } from "../../ffi/context.ts";
import { convertMatrix, INTEGERS, quantiseMatrix } from "../../ffi/matrix.ts";
import {
  pack,
  REFERENCE,
  REFERENCE_BERT,
  reference,
  sources,
  TemporaryFolder,
  type Tensors,
  writeModel,
} from "../../testing/folders.ts";
import { largestMagnitude } from "../base/statistics.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openTensorFile } from "../files/safetensors/safetensors.ts";
import { writeSafetensors } from "../files/safetensors/write.ts";
import { loadConfig } from "../model/config.ts";
import { type Model, openModel } from "../model/model.ts";
import { bindTensors } from "../model/roles.ts";
import { convertModel } from "./convert.ts";

const floats = ({ data }: { data: Uint8Array }) => new Float32Array(data.slice().buffer);

async function logits(model: Model): Promise<Float32Array> {
  using context = new NativeContext(model.native, { threads: 1 });
  await context.encode({ offsets: BigInt64Array.of(0n, 4n), ids: Int32Array.of(5, 6, 7, 8) });
  return await (model.config.task === "mlm" ? context.mlmLogits([0, 1, 2, 3]) : context.classify());
}

test.each(["fff-1x5", "cls-2", "dense-ff", "fff-3x2"])(
  "%s: projections are in 8 bits, the first two layers' and heads in 16, trees in bf16, embeddings in f16, the rest in f32",
  async (name) => {
    using folder = new TemporaryFolder();
    const path = folder.file("packed");
    await pack(REFERENCE + name, path, "I8");
    const checkpoint = openCheckpoint(path);
    const { bindings, native } = bindTensors(loadConfig(checkpoint), checkpoint);
    native[Symbol.dispose]();
    const { tensors } = checkpoint;
    for (const { wanted, tensor } of bindings) {
      const isProjection = wanted.layout === UFFB_PANELS;
      const dtype = /^layer\.[01]\.attn|^head\.(pool|class)/.test(wanted.name) ? "I16" : "I8";
      const isTree = /fff\.(in|out)\.weight$/.test(wanted.name);
      const other = /^embed\.word(\.rows)?$/.test(wanted.name) ? "F16" : isTree ? "BF16" : "F32";
      expect([wanted.name, tensor.dtype]).toEqual([wanted.name, isProjection ? dtype : other]);
      if (isProjection) expect(tensors.get(`${wanted.name}.scale`)!.shape).toEqual([wanted.rows]);
      if (isProjection) expect(tensor.data.byteOffset % 64).toBe(0);
      else expect(wanted.layout).toBe(UFFB_ROWS);
    }
  },
);

// Of 64 columns, 64 * 5792 * 5792 just fits 31 bits.
test.each([
  ["head.pool.dense.weight", "cls-2", "pooler.dense.weight", 2, Int16Array, 5792],
  ["embed.word", "fff-1x5", "encoder.embedding.word_embedding.weight", 4, Int8Array, 127],
] as const)("a weight is its scale times a whole number, at most half a scale off: %s", async (...row) => {
  const [name, model, stored, group, Numbers, most] = row;
  using folder = new TemporaryFolder();
  await pack(REFERENCE + model, folder.file("packed"), "I8");
  const { tensors } = openTensorFile(folder.file("packed"));
  const panels = new Numbers(tensors.get(name)!.data.slice().buffer);
  const scale = floats(tensors.get(`${name}.scale`)!);
  const exact = floats(reference(model).tensors.get(stored)!);
  const cols = exact.length / scale.length;
  expect(Math.max(...Array.from(panels, Math.abs))).toBe(most);
  exact.forEach((weight, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const step = (row >> 4) * Math.ceil(cols / group) + Math.floor(col / group);
    const at = (step * 16 + (row & 15)) * group + (col % group);
    expect(Math.abs(panels[at]! * scale[row]! - weight)).toBeLessThanOrEqual(scale[row]! * 0.501);
  });
});

test("a decoder's rows stand beside it in f16, from whatever layout", async () => {
  using folder = new TemporaryFolder();
  const model = `${REFERENCE}fff-1x5`;
  await pack(model, folder.file("wide"));
  for (const [i, source] of [model, folder.file("wide")].entries()) {
    await pack(source, folder.file(`${i}`), "I8");
    const rows = openTensorFile(folder.file(`${i}`)).tensors.get("embed.word.rows")!;
    const exact = reference("fff-1x5").tensors.get("encoder.embedding.word_embedding.weight")!;
    const [from, to] = [UFFB_F32, UFFB_F16].map((dtype) => ({ dtype, layout: UFFB_ROWS }));
    expect(rows).toMatchObject({ dtype: "F16", shape: [512, 64] });
    expect(Buffer.from(rows.data)).toEqual(
      Buffer.from(convertMatrix(512, 64, exact.data.slice(), from!, to!)),
    );
  }
});

/** What rows in integers stand for, [rows, cols]. */
function widened(
  tensors: ReadonlyMap<string, { data: Uint8Array }>,
  name: string,
): Float32Array<ArrayBuffer> {
  const integers = new Int8Array(tensors.get(name)!.data.slice().buffer);
  const scale = floats(tensors.get(`${name}.scale`)!);
  const cols = integers.length / scale.length;
  return Float32Array.from(integers, (q, i) => q * scale[Math.floor(i / cols)]!);
}

test("embeddings of a post-norm model are rows in 8 bits; files with such rows in f32 still open, with the same answers", async () => {
  using folder = new TemporaryFolder();
  await pack(`${REFERENCE_BERT}bert-cls`, folder.file("packed"), "I8");
  const { metadata, tensors } = openTensorFile(folder.file("packed"));
  const exact = reference("bert-cls", REFERENCE_BERT).tensors;
  const old: Tensors = new Map([...tensors].filter(([name]) => !name.startsWith("pad.")));
  for (const part of ["word", "position"]) {
    const name = `embed.${part}`;
    const stored = exact.get(`bert.embeddings.${part}_embeddings.weight`)!;
    const { dtype, shape, data } = tensors.get(name)!;
    expect({ dtype, shape, bytes: data.length }).toEqual({
      dtype: "I8",
      shape: [...stored.shape],
      bytes: stored.data.length / 4,
    });
    const scale = floats(tensors.get(`${name}.scale`)!);
    const values = widened(tensors, name);
    const cols = values.length / scale.length;
    floats(stored).forEach((weight, i) => {
      const most = scale[Math.floor(i / cols)]! * 0.501;
      expect(Math.abs(values[i]! - weight)).toBeLessThanOrEqual(most);
    });
    old.set(name, { dtype: "F32", shape, data: new Uint8Array(values.buffer) });
    old.delete(`${name}.scale`);
  }
  await writeSafetensors(folder.file("old"), metadata, sources(old), { aligned: true });
  using model = await openModel(folder.file("packed"));
  using before = await openModel(folder.file("old"));
  expect(await logits(model)).toEqual(await logits(before));
});

test("a row of NaNs is what a scale that is none makes of it", async () => {
  using folder = new TemporaryFolder();
  await pack(`${REFERENCE_BERT}bert-cls`, folder.file("packed"), "I8");
  const { metadata, tensors } = openTensorFile(folder.file("packed"));
  const changed: Tensors = new Map([...tensors].filter(([name]) => !name.startsWith("pad.")));
  const scale = floats(tensors.get("embed.word.scale")!);
  scale[6] = Number.NaN;
  changed.set("embed.word.scale", {
    ...tensors.get("embed.word.scale")!,
    data: new Uint8Array(scale.buffer as ArrayBuffer),
  });
  await writeSafetensors(folder.file("changed"), metadata, sources(changed), { aligned: true });
  using model = await openModel(folder.file("changed"));
  expect([...(await logits(model))].every(Number.isNaN)).toBe(true);
});

test("a file from before, all of it in 8 bits and without rows, still opens", async () => {
  using folder = new TemporaryFolder();
  await pack(`${REFERENCE}fff-1x5`, folder.file("packed"), "I8");
  const { metadata, tensors } = openTensorFile(folder.file("packed"));
  const old: Tensors = new Map([...tensors].filter(([name]) => !/^pad\.|\.rows$/.test(name)));
  expect(old.size).toBeLessThan(tensors.size);
  for (const [name, { dtype, shape }] of tensors) {
    if (dtype !== "I16") continue;
    const rows = shape[0]! * 16;
    const data = new Uint8Array(rows * 64);
    const scale = new Uint8Array(4 * rows);
    const values = new Float32Array(rows * 64).map((_, i) => Math.sin(i) / 8);
    const from = { dtype: UFFB_F32, layout: UFFB_ROWS };
    quantiseMatrix(rows, 64, values, from, INTEGERS.I8, data, new Float32Array(scale.buffer));
    old.set(name, { dtype: "I8", shape: [shape[0]!, 16, 16, 4], data });
    old.set(`${name}.scale`, { dtype: "F32", shape: [rows], data: scale });
  }
  expect([...old.values()].filter(({ dtype }) => dtype === "I8").length).toBe(5);
  await writeSafetensors(folder.file("old"), metadata, sources(old), { aligned: true });
  using model = await openModel(folder.file("old"));
  expect((await logits(model)).every(Number.isFinite)).toBe(true);
  await pack(folder.file("old"), folder.file("again"), "I8");
  expect(readFileSync(folder.file("again"))).toEqual(readFileSync(folder.file("old")));
});

test.each(["fff-1x5", "cls-2", "dense-ff"])("%s answers nearly the same in 8 bits", async (name) => {
  using folder = new TemporaryFolder();
  await pack(REFERENCE + name, folder.file("packed"), "I8");
  using exact = await openModel(REFERENCE + name);
  using narrow = await openModel(folder.file("packed"));
  const [a, b] = [await logits(exact), await logits(narrow)];
  const largest = largestMagnitude(a);
  const error = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
  expect(error).toBeGreaterThan(0);
  expect(error).toBeLessThan(0.1 * largest);
});

test("packing it again changes nothing, and it cannot become another dtype", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("packed");
  await pack(`${REFERENCE}cls-2`, path, "I8");
  await pack(path, folder.file("again"), "I8");
  expect(readFileSync(folder.file("again"))).toEqual(readFileSync(path));
  await expect(pack(path, folder.file("wide"))).rejects.toThrow(
    "tensor layer.0.attn.qkv.weight is stored as integers, and the original numbers cannot be recovered from those; convert the original model",
  );
  await expect(
    convertModel(openCheckpoint(path), folder.file("hf"), { to: "hf", dtype: "F32" }),
  ).rejects.toThrow("cannot be recovered");
});

test("a matrix with a NaN stays f32", async () => {
  using folder = new TemporaryFolder();
  using out = new TemporaryFolder();
  const { config, tensors } = reference("cls-2");
  const old = tensors.get("pooler.dense.weight")!;
  const numbers = floats(old);
  numbers[3] = Number.NaN;
  tensors.set("pooler.dense.weight", { ...old, data: new Uint8Array(numbers.buffer) });
  await pack(writeModel(folder, { config, tensors }), out.file("out"), "I8");
  const file = openTensorFile(out.file("out"));
  expect(file.tensors.get("head.pool.dense.weight")!.dtype).toBe("F32");
  expect(file.tensors.get("head.class.weight")!.dtype).toBe("I16");
  expect(file.metadata.not_finite).toBe("head.pool.dense.weight");
});

describe("refuses", () => {
  const SCALE = "layer.1.attn.out.weight.scale";
  const bytes = (shape: number[]) => ({
    dtype: "I8",
    shape,
    data: new Uint8Array(shape.reduce((a, b) => a * b)),
  });
  test.each<[string, (tensors: Tensors) => void, string]>([
    ["8 bits without scales", (tensors) => tensors.delete(SCALE), `lacks the tensor ${SCALE}`],
    [
      "scales without 8 bits",
      (tensors) =>
        tensors.set("layer.1.attn.out.weight", {
          dtype: "F32",
          shape: [4, 64, 16],
          data: new Uint8Array(4 * 64 * 64),
        }),
      `the unexpected tensor ${SCALE}`,
    ],
    [
      "too few scales",
      (tensors) => tensors.set(SCALE, { dtype: "F32", shape: [63], data: new Uint8Array(4 * 63) }),
      `tensor ${SCALE} is F32 [63], but config.json asks for [64]`,
    ],
    [
      "panels of another shape",
      (tensors) => tensors.set("layer.1.attn.out.weight", bytes([4, 15, 16, 4])),
      "is I8 [4, 15, 16, 4], but config.json asks for [4, 16, 16, 4]",
    ],
    [
      "16-bit panels of another shape",
      (tensors) =>
        tensors.set("layer.0.attn.out.weight", {
          dtype: "I16",
          shape: [4, 16, 16, 4],
          data: new Uint8Array(2 * 4096),
        }),
      "is I16 [4, 16, 16, 4], but config.json asks for [4, 32, 16, 2]",
    ],
    [
      "rows of another shape",
      (tensors) =>
        tensors.set("embed.word.rows", {
          dtype: "F16",
          shape: [511, 64],
          data: new Uint8Array(2 * 511 * 64),
        }),
      "is F16 [511, 64], but config.json asks for [512, 64]",
    ],
    [
      "rows of what is not in integers",
      (tensors) =>
        tensors.set("embed.word", {
          dtype: "F32",
          shape: [32, 64, 16],
          data: new Uint8Array(4 * 512 * 64),
        }),
      "has the unexpected tensors",
    ],
    [
      "8-bit rows",
      (tensors) => tensors.set("layer.0.fff.in.weight", bytes([63, 64])),
      "is I8 [63, 64]; weights can be",
    ],
    ["8-bit vectors", (tensors) => tensors.set("final_norm.bias", bytes([64])), "is I8 [64]; weights can be"],
  ])("%s", async (_, change, message) => {
    using folder = new TemporaryFolder();
    await pack(`${REFERENCE}fff-1x5`, folder.file("packed"), "I8");
    const { metadata, tensors } = openTensorFile(folder.file("packed"));
    const changed = new Map([...tensors].filter(([name]) => !name.startsWith("pad.")));
    change(changed);
    await writeSafetensors(folder.file("changed"), metadata, sources(changed));
    await expect(openModel(folder.file("changed"))).rejects.toThrow(message);
  });

  test("8 bits outside packed files", async () => {
    using folder = new TemporaryFolder();
    const { config, tensors } = reference("cls-2");
    tensors.set("pooler.dense.weight", bytes(tensors.get("pooler.dense.weight")!.shape as number[]));
    await expect(openModel(writeModel(folder, { config, tensors }))).rejects.toThrow(
      /is I8 .*; weights can be F32/,
    );
  });
});
