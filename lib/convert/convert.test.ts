import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { fileURLToPath } from "node:url";
import {
  pack,
  REFERENCE,
  reference,
  TemporaryFolder,
  type Tensors,
  writeModel,
} from "../../testing/folders.ts";
import { checkpoint, op, storage, tensor } from "../../testing/forge.ts";
import { legacyPickle, transposedPickle, zipPickle } from "../../testing/pickles.ts";
import { verify } from "../eval/verify/verify.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openSafetensors, openTensorFile } from "../files/safetensors/safetensors.ts";
import { openModel } from "../model/model.ts";
import { type ConvertOptions, convertModel, convertTensors } from "./convert.ts";
import { roleLines } from "./report.ts";

const PICKLES = fileURLToPath(new URL("../../fixtures/pickle/", import.meta.url));
const MODELS = readdirSync(REFERENCE);

/** Same names, shapes, dtypes and bits. */
function expectSame(actual: Tensors, expected: Tensors): void {
  expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, { dtype, shape, data }] of expected) {
    expect([name, actual.get(name)!.dtype, actual.get(name)!.shape]).toEqual([name, dtype, shape]);
    expect([name, Buffer.compare(actual.get(name)!.data, data)]).toEqual([name, 0]);
  }
}

function toFolder(source: string, output: string, options: Partial<ConvertOptions> = {}) {
  return convertModel(openCheckpoint(source), output, { to: "hf", dtype: "F32", ...options });
}

/** Where the model comes from: a folder that writes its checkpoint, or a file that PyTorch wrote. */
const SOURCES: Record<string, (folder: TemporaryFolder, tensors: Tensors) => void> = {
  "model.safetensors": (folder, tensors) => writeModel(folder, { config: {}, tensors }),
  "pytorch_model.bin, ZIP": (folder, tensors) =>
    writeFileSync(folder.file("pytorch_model.bin"), zipPickle(tensors)),
  "pytorch_model.bin, legacy": (folder, tensors) =>
    writeFileSync(folder.file("pytorch_model.bin"), legacyPickle(tensors)),
  "pytorch_model.bin, in columns": (folder, tensors) =>
    writeFileSync(folder.file("pytorch_model.bin"), transposedPickle(tensors)),
};

describe.each(MODELS)("%s goes to packed and back without changing a bit", (model) => {
  test.each(Object.keys(SOURCES))("from %s", async (source) => {
    using folder = new TemporaryFolder();
    using out = new TemporaryFolder();
    const { tensors } = reference(model);
    SOURCES[source]!(folder, tensors);
    copyFileSync(`${REFERENCE}${model}/config.json`, folder.file("config.json"));
    await pack(folder.path, out.file("packed"));
    await toFolder(out.file("packed"), out.file("back"));
    expectSame(openSafetensors(out.file("back/model.safetensors")), tensors);
    expect(readFileSync(out.file("back/config.json"))).toEqual(readFileSync(folder.file("config.json")));
    await toFolder(folder.path, out.file("straight"));
    expectSame(openSafetensors(out.file("straight/model.safetensors")), tensors);

    await convertTensors(openCheckpoint(folder.path), out.file("plain.safetensors"));
    expectSame(openSafetensors(out.file("plain.safetensors")), tensors);
    copyFileSync(folder.file("config.json"), out.file("config.json"));
    await pack(out.file("plain.safetensors"), out.file("again"));
    expect(readFileSync(out.file("again"))).toEqual(readFileSync(out.file("packed")));
    expect(readdirSync(out.path).length).toBe(6);
  });
});

test.each([
  ["fff-1x5.zip.bin", "fff-1x5"],
  ["fff-1x5.legacy.bin", "fff-1x5"],
  ["fff-3x2.module.legacy.bin", "fff-3x2"],
  ["cls-reg.wrapped.legacy.bin", "cls-reg"],
  ["cls-2.sharded", "cls-2"],
])("%s, as PyTorch wrote it, goes to packed and back", async (file, model) => {
  using folder = new TemporaryFolder();
  const files = file.endsWith(".bin")
    ? [file]
    : readdirSync(`${PICKLES}${file}`).map((name) => `${file}/${name}`);
  for (const name of files) copyFileSync(`${PICKLES}${name}`, folder.file(name.replace(/.*\//, "")));
  copyFileSync(`${REFERENCE}${model}/config.json`, folder.file("config.json"));
  await pack(file.endsWith(".bin") ? folder.file(file) : folder.path, folder.file("packed"));
  await toFolder(folder.file("packed"), folder.file("back"));
  expectSame(openSafetensors(folder.file("back/model.safetensors")), reference(model).tensors);
});

test("a folder in half precision has the halves that are nearest", async () => {
  using folder = new TemporaryFolder();
  await toFolder(`${REFERENCE}cls-2`, folder.file("out"), { dtype: "BF16" });
  const tensors = openSafetensors(folder.file("out/model.safetensors"));
  const { data } = reference("cls-2").tensors.get("encoder.layers.0.ffn.linear_out.weight")!;
  const exact = new Float32Array(data.slice().buffer);
  const half = tensors.get("encoder.layers.0.ffn.linear_out.weight")!;
  expect(half.dtype).toBe("BF16");
  const bits = new Uint16Array(half.data.slice().buffer);
  const widened = new Float32Array(Uint32Array.from(bits, (value) => value << 16).buffer);
  expect(widened.every((value, i) => Math.abs(value - exact[i]!) <= Math.abs(exact[i]!) * 2 ** -8)).toBe(
    true,
  );
  expect(tensors.get("encoder.final_norm.weight")!.dtype).toBe("F32");
});

test("learned positions get the buffer that their code asks for", async () => {
  using folder = new TemporaryFolder();
  using out = new TemporaryFolder();
  const { config, tensors } = reference("cls-2");
  config.arch.embedding.pos_embedding = "learned";
  const { max_seq_length: length } = config.arch.embedding;
  tensors.delete("encoder.embedding.pos_embedding.scale_factor");
  const shape = [length, config.arch.hidden_size];
  const data = new Uint8Array(4 * shape[0]! * shape[1]!);
  tensors.set("encoder.embedding.pos_embedding.embedding.weight", { dtype: "F32", shape, data });
  await toFolder(writeModel(folder, { config, tensors }), out.file("out"));
  const ids = openSafetensors(out.file("out/model.safetensors")).get(
    "encoder.embedding.pos_embedding.position_ids",
  )!;
  expect(ids).toMatchObject({ dtype: "I64", shape: [1, length] });
  expect(new BigInt64Array(ids.data.slice().buffer).at(-1)).toBe(BigInt(length - 1));
  (await openModel(out.file("out")))[Symbol.dispose]();
});

describe("tensors of any architecture", () => {
  test.each(["types.zip.bin", "types.legacy.bin", "views.zip.bin", "views.legacy.bin", "optimiser.bin"])(
    "%s: each is kept as it is",
    async (file) => {
      using folder = new TemporaryFolder();
      const checkpoint = openCheckpoint(PICKLES + file);
      await convertTensors(checkpoint, folder.file("out"));
      expectSame(openSafetensors(folder.file("out")), checkpoint.tensors);
    },
  );

  test("shared storage is written once", async () => {
    using folder = new TemporaryFolder();
    const checkpoint = openCheckpoint(`${PICKLES}fff-3x2.module.legacy.bin`);
    const { shared } = await convertTensors(checkpoint, folder.file("out"));
    const [word, decoder] = ["module.encoder.embedding.word_embedding.weight", "module.decoder.weight"];
    expect([...shared]).toEqual([[word, decoder]]);
    const { metadata, tensors } = openTensorFile(folder.file("out"));
    expect(metadata).toEqual({ format: "pt", [word]: decoder });
    expect(tensors.has(word)).toBe(false);
    expectSame(openSafetensors(folder.file("out")), checkpoint.tensors);
  });

  test("those of a packed file are the engine's", async () => {
    using folder = new TemporaryFolder();
    await pack(`${REFERENCE}cls-2`, folder.file("packed"));
    const checkpoint = openCheckpoint(folder.file("packed"));
    await expect(convertTensors(checkpoint, folder.file("out"))).rejects.toThrow("is packed");
    expect(existsSync(folder.file("out"))).toBe(false);
  });

  test("keeps tensors whose names mean something else in the file, or says that it cannot", async () => {
    using folder = new TemporaryFolder();
    const shared = storage("0", 2);
    const names = ["a", "format", "pt", "not_finite", "__proto__"];
    const dict = (all: string[]) =>
      checkpoint(op.dict(...all.flatMap((name) => [op.text(name), tensor(shared, 0, [2], [1])])), {
        0: new Uint8Array(Float32Array.of(1, 2).buffer),
      });
    writeFileSync(folder.file("m.bin"), dict(names));
    await convertTensors(openCheckpoint(folder.file("m.bin")), folder.file("out.safetensors"));
    expect([...openCheckpoint(folder.file("out.safetensors")).tensors.keys()].sort()).toEqual(names.sort());
    writeFileSync(folder.file("m.bin"), dict(["__metadata__"]));
    await expect(convertTensors(openCheckpoint(folder.file("m.bin")), folder.file("x"))).rejects.toThrow(
      "a tensor cannot be called __metadata__",
    );
    expect(existsSync(folder.file("x"))).toBe(false);
  });

  test.each(["packed", "hf"] as const)(
    "packs no file that lies outside the model's folder, or is not what it is called: %s",
    async (to) => {
      using folder = new TemporaryFolder();
      using secrets = new TemporaryFolder();
      writeModel(folder, reference("fff-1x5"));
      writeFileSync(secrets.file("id_rsa"), "SECRET");
      writeFileSync(secrets.file("secret.json"), '{"token": "SECRET"}');
      const place = folder.file("special_tokens_map.json");
      const attempt = () =>
        convertModel(openCheckpoint(folder.path), folder.file("out"), { to, dtype: "F32" }).catch(
          (error: Error) => error.message,
        );
      for (const target of ["id_rsa", "secret.json"]) {
        symlinkSync(secrets.file(target), place);
        expect(await attempt()).toEndWith(
          "is a link to a file outside the folder; if it belongs to the model, copy it there",
        );
        rmSync(place);
      }
      copyFileSync(secrets.file("id_rsa"), place);
      expect(await attempt()).toEndWith("special_tokens_map.json: not valid JSON; get the file again");
      expect(existsSync(folder.file("out"))).toBe(false);
      writeFileSync(place, "{}");
      expect(await attempt()).toMatchObject({ bytes: expect.any(Number) });
    },
  );
});

describe("unknown tensors", () => {
  const withMore = (folder: TemporaryFolder) => {
    const { config, tensors } = reference("cls-2");
    tensors.set("extra.weight", { dtype: "I32", shape: [1], data: new Uint8Array(4) });
    return writeModel(folder, { config, tensors });
  };

  test("are refused, by name and with the way out", async () => {
    using folder = new TemporaryFolder();
    const conversion = pack(withMore(folder), folder.file("out"));
    await expect(conversion).rejects.toThrow(
      "has the unexpected tensor extra.weight; uffb convert --ignore-unknown leaves them out",
    );
    expect(existsSync(folder.file("out"))).toBe(false);
  });

  test("are left out on request, and listed", async () => {
    using folder = new TemporaryFolder();
    const converted = await convertModel(openCheckpoint(withMore(folder)), folder.file("out"), {
      to: "packed",
      dtype: "F32",
      ignoreUnknown: true,
    });
    expect(converted.unused).toEqual([{ name: "extra.weight", why: "unknown" }]);
    expect(roleLines(converted).at(-1)).toMatch(/^extra\.weight +unknown, left out$/);
    writeModel(folder, reference("cls-2"));
    await pack(folder.path, folder.file("expected"));
    expect(readFileSync(folder.file("out"))).toEqual(readFileSync(folder.file("expected")));
  });
});

test("the list has each tensor's role, all layers in one line", async () => {
  using folder = new TemporaryFolder();
  const lines = roleLines(await pack(`${REFERENCE}fff-3x2`, folder.file("out"), "BF16"));
  expect(lines.map((line) => line.replaceAll(/ {2,}/g, " | "))).toEqual(
    expect.arrayContaining([
      "encoder.layers.0-1.attn.dense.weight | F32 [48, 48] | layer.0-1.attn.out.weight | BF16",
      "encoder.final_norm.bias | F32 [48] | final_norm.bias | F32",
      "decoder.weight | a copy of the word embedding",
    ]),
  );
});

test("what a check throws undoes the conversion", async () => {
  using folder = new TemporaryFolder();
  const check = async (temporary: string) => {
    using model = await openModel(temporary);
    const { passed } = await verify(model, `${REFERENCE}fff-1x5/expected.safetensors`, { threads: 1 });
    expect(passed).toBe(true);
    throw new Error("enough");
  };
  await expect(toFolder(`${REFERENCE}fff-1x5`, folder.file("out"), { check })).rejects.toThrow("enough");
  expect(readdirSync(folder.path)).toEqual([]);
});
