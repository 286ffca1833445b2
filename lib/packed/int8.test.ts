import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { UFFB_PANELS, UFFB_ROWS } from "../../ffi/bindings.ts";
import { NativeContext } from "../../ffi/context.ts";
import { openCheckpoint } from "../checkpoint.ts";
import { loadConfig } from "../config.ts";
import { convertModel } from "../convert.ts";
import { type Model, openModel } from "../model.ts";
import { bindTensors } from "../roles.ts";
import { writeSafetensors } from "../safetensors/write.ts";
import { openTensorFile } from "../safetensors.ts";
import {
  pack,
  REFERENCE,
  reference,
  sources,
  TemporaryFolder,
  type Tensors,
  writeModel,
} from "../test/folders.ts";

const floats = ({ data }: { data: Uint8Array }) => new Float32Array(data.slice().buffer);

async function logits(model: Model): Promise<Float32Array> {
  using context = new NativeContext(model.native, { threads: 1 });
  await context.encode({ offsets: BigInt64Array.of(0n, 4n), ids: Int32Array.of(5, 6, 7, 8) });
  return await (model.config.task === "mlm" ? context.mlmLogits([0, 1, 2, 3]) : context.classify());
}

test.each(["fff-1x5", "cls-2", "dense-ff", "fff-3x2"])(
  "%s: projections are in 8 bits, the rest in f32",
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
      expect([wanted.name, tensor.dtype]).toEqual([wanted.name, isProjection ? "I8" : "F32"]);
      if (isProjection) expect(tensors.get(`${wanted.name}.scale`)!.shape).toEqual([wanted.rows]);
      if (isProjection) expect(tensor.data.byteOffset % 64).toBe(0);
      else expect(wanted.layout).toBe(UFFB_ROWS);
    }
  },
);

test("a weight is its scale times a whole number, at most half a scale off", async () => {
  using folder = new TemporaryFolder();
  await pack(`${REFERENCE}cls-2`, folder.file("packed"), "I8");
  const { tensors } = openTensorFile(folder.file("packed"));
  const panels = new Int8Array(tensors.get("head.pool.dense.weight")!.data.slice().buffer);
  const scale = floats(tensors.get("head.pool.dense.weight.scale")!);
  const exact = floats(reference("cls-2").tensors.get("pooler.dense.weight")!);
  const cols = exact.length / scale.length;
  exact.forEach((weight, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const at = (((row >> 4) * Math.ceil(cols / 4) + (col >> 2)) * 16 + (row & 15)) * 4 + (col & 3);
    expect(Math.abs(panels[at]! * scale[row]! - weight)).toBeLessThanOrEqual(scale[row]! * 0.501);
  });
});

test.each(["fff-1x5", "cls-2", "dense-ff"])("%s answers nearly the same in 8 bits", async (name) => {
  using folder = new TemporaryFolder();
  await pack(REFERENCE + name, folder.file("packed"), "I8");
  using exact = await openModel(REFERENCE + name);
  using narrow = await openModel(folder.file("packed"));
  const [a, b] = [await logits(exact), await logits(narrow)];
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const error = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
  expect(error).toBeGreaterThan(0);
  expect(error).toBeLessThan(0.1 * largest);
});

test("packing it again changes nothing, and there is no way back", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("packed");
  await pack(`${REFERENCE}cls-2`, path, "I8");
  await pack(path, folder.file("again"), "I8");
  expect(readFileSync(folder.file("again"))).toEqual(readFileSync(path));
  await expect(pack(path, folder.file("wide"))).rejects.toThrow(
    "tensor layer.0.attn.qkv.weight is in 8 bits, which are no way back; convert the original model",
  );
  await expect(
    convertModel(openCheckpoint(path), folder.file("hf"), { to: "hf", dtype: "F32" }),
  ).rejects.toThrow("no way back");
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
  expect(file.tensors.get("head.class.weight")!.dtype).toBe("I8");
  expect(file.metadata.not_finite).toBe("head.pool.dense.weight");
});

describe("refuses", () => {
  const SCALE = "layer.0.attn.out.weight.scale";
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
        tensors.set("layer.0.attn.out.weight", {
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
      (tensors) => tensors.set("layer.0.attn.out.weight", bytes([4, 15, 16, 4])),
      "is I8 [4, 15, 16, 4], but config.json asks for [4, 16, 16, 4]",
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
