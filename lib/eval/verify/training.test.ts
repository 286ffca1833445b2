import { describe, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { isas } from "../../../ffi/engine.ts";
import { pack, REFERENCE, REFERENCE_BERT, TemporaryFolder, writePlain } from "../../../testing/folders.ts";
import { openCheckpoint } from "../../files/checkpoint.ts";
import { openTensorFile, type StoredTensor } from "../../files/safetensors/safetensors.ts";
import { writeSafetensors } from "../../files/safetensors/write.ts";
import { isReplay, replay, verifyGradients } from "./training.ts";

const TRAIN = fileURLToPath(new URL("../../../fixtures/reference-train/", import.meta.url));
const model = (name: string) => openCheckpoint(TRAIN + name);
const steps = (name: string) => `${TRAIN}${name}/steps.safetensors`;

/** A copy of a file with some tensors or metadata changed. */
async function changed(
  folder: TemporaryFolder,
  path: string,
  tensors: Record<string, StoredTensor["data"]>,
  about: Record<string, string> = {},
): Promise<string> {
  const file = openTensorFile(path);
  const sources = [...file.tensors].map(([name, { dtype, shape, data }]) => ({
    name,
    dtype,
    shape,
    data: () => [tensors[name] ?? data],
  }));
  await writeSafetensors(folder.file("steps.safetensors"), { ...file.metadata, ...about }, sources);
  return folder.file("steps.safetensors");
}

/** The same bytes, but for one number in the middle. */
function bent({ data }: StoredTensor): Uint8Array {
  const copy = data.slice();
  const at = 4 * Math.floor(copy.length / 8);
  const view = new DataView(copy.buffer);
  view.setFloat32(at, view.getFloat32(at, true) * 1.5 + 1, true);
  return copy;
}

describe("replay", () => {
  test.each(
    isas().flatMap((isa) => ["cls-fff", "reg-3x2", "mlm-fff", "mlm-dense"].map((name) => [isa, name])),
  )("%s: %s", async (isa, name) => {
    expect(isReplay(steps(name))).toBe(true);
    const { passed, tensors, ignored } = await replay(model(name), steps(name), { isa, threads: 2 });
    expect(tensors.filter((report) => !report.passed)).toEqual([]);
    expect([passed, ignored]).toEqual([true, []]);
    expect(tensors.slice(0, 2)).toMatchObject([
      { name: "loss", compared: 30 },
      { name: "grad_norm", compared: 30 },
    ]);
  });

  test.each(["loss", "grad_norm", "end.encoder.layers.0.attn.dense.weight", "lr"])(
    "finds that %s differs",
    async (name) => {
      using folder = new TemporaryFolder();
      const file = openTensorFile(steps("cls-fff"));
      const path = await changed(folder, steps("cls-fff"), { [name]: bent(file.tensors.get(name)!) });
      const { passed, tensors } = await replay(model("cls-fff"), path, { threads: 1 });
      expect(passed).toBe(false);
      if (name !== "lr")
        expect(tensors.filter((report) => !report.passed).map((report) => report.name)).toEqual([name]);
    },
  );

  test.each([
    [{ beta2: "0.99" }, undefined],
    [{ optimizer: "SGD" }, "its run had SGD"],
    [{ dropout: "0.1" }, "its run had dropout 0.1"],
    [{ eps: "small" }, "its metadata have no number eps"],
  ])("with %j", async (about, message) => {
    using folder = new TemporaryFolder();
    const path = await changed(folder, steps("reg-3x2"), {}, about);
    const run = replay(model("reg-3x2"), path, { threads: 1 });
    if (message !== undefined) await expect(run).rejects.toThrow(message);
    else expect((await run).passed).toBe(false);
  });
});

describe("verifyGradients", () => {
  const path = `${REFERENCE}cls-2/expected.safetensors`;

  // A key's bias, whose gradient is rounding alone, is measured by those beside it.
  test.each([
    [`${REFERENCE}cls-2`, "grad.encoder.layers.1.ffn.linear_out.weight"],
    [`${REFERENCE_BERT}bert-cls`, "grad.bert.encoder.layer.1.attention.self.key.bias"],
  ])("of %s finds that %s differs", async (model, name) => {
    using folder = new TemporaryFolder();
    const tensors = new Map(openTensorFile(`${model}/expected.safetensors`).tensors);
    tensors.set(name, { ...tensors.get(name)!, data: bent(tensors.get(name)!) });
    writePlain(folder.file("x.safetensors"), tensors);
    const found = await verifyGradients(openCheckpoint(model), folder.file("x.safetensors"), { threads: 1 });
    expect(found!.tensors.filter(({ passed }) => !passed).map((report) => report.name)).toEqual([name]);
  });

  test.each(
    isas().flatMap((isa) =>
      ["bert-cls", "bert-mlm", "distilbert-mlm", "roberta-cls"].map((name) => [isa, name]),
    ),
  )("%s: %s agrees with transformers", async (isa, name) => {
    const found = await verifyGradients(
      openCheckpoint(REFERENCE_BERT + name),
      `${REFERENCE_BERT}${name}/expected.safetensors`,
      { isa, threads: 2 },
    );
    expect(found!.tensors.filter(({ passed }) => !passed)).toEqual([]);
    expect(found!.tensors.filter((report) => report.name.startsWith("grad.")).length).toBeGreaterThan(40);
  });

  test("a packed model's are the same; one in integers has none", async () => {
    using folder = new TemporaryFolder();
    for (const dtype of ["F32", "I8"] as const) {
      await pack(`${REFERENCE}cls-2`, folder.file(dtype), dtype);
      const found = await verifyGradients(openCheckpoint(folder.file(dtype)), path, { threads: 1 });
      expect(found?.passed).toBe(dtype === "F32" ? true : undefined);
    }
  });

  test("a file without loss and gradients is none", async () => {
    const { tensors } = openTensorFile(path);
    using folder = new TemporaryFolder();
    writePlain(
      folder.file("x.safetensors"),
      new Map([...tensors].filter(([name]) => !/^(grad\.|loss$)/.test(name))),
    );
    expect(
      await verifyGradients(openCheckpoint(`${REFERENCE}cls-2`), folder.file("x.safetensors")),
    ).toBeUndefined();
  });
});
