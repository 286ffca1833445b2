import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import {
  REFERENCE,
  reference,
  TemporaryFolder,
  type Tensors,
  writeModel,
  writePlain,
} from "../../testing/folders.ts";
import { UffbError } from "../base/errors.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { openSafetensors } from "./safetensors/safetensors.ts";

const PICKLES = fileURLToPath(new URL("../../fixtures/pickle/", import.meta.url));
const INDEX = "model.safetensors.index.json";

/** A folder with the tensors of fff-3x2 in two shards, every second one in each. */
function sharded(): { folder: TemporaryFolder; map: Record<string, string>; tensors: Tensors } {
  const folder = new TemporaryFolder();
  const { tensors } = reference("fff-3x2");
  const map: Record<string, string> = {};
  for (const shard of [0, 1]) {
    const file = `model-0000${shard + 1}-of-00002.safetensors`;
    const part = [...tensors].filter((_, i) => i % 2 === shard);
    writePlain(folder.file(file), new Map(part));
    for (const [name] of part) map[name] = file;
  }
  writeFileSync(folder.file(INDEX), JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
  return { folder, map, tensors };
}

test("opens a folder, and a file with config.json beside it", () => {
  const path = `${REFERENCE}cls-2`;
  for (const source of [path, `${path}/model.safetensors`]) {
    const checkpoint = openCheckpoint(source);
    expect(checkpoint.tensors.get("head.weight")!.shape).toEqual([2, 64]);
    expect(checkpoint.file("config.json")!.text).toContain("crammedBERT");
    expect(checkpoint.file("tokenizer.json")).toBeUndefined();
    expect(checkpoint.source).toBe(source);
  }
});

test("opens shards, behind symbolic links too", () => {
  const { folder, tensors, map } = sharded();
  using _ = folder;
  using links = new TemporaryFolder();
  for (const name of [INDEX, ...new Set(Object.values(map))])
    symlinkSync(folder.file(name), links.file(name));
  for (const path of [folder.path, links.path]) {
    const opened = openCheckpoint(path).tensors;
    expect([...opened.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [name, { data }] of tensors) expect(Buffer.compare(opened.get(name)!.data, data)).toBe(0);
  }
});

test("opens shards whose index names a tensor too many, too few, or elsewhere", () => {
  const { folder, tensors, map } = sharded();
  using _ = folder;
  const { "decoder.weight": place, ...rest } = map;
  const other = Object.values(map).find((file) => file !== place)!;
  for (const weight_map of [rest, { ...map, extra: place! }, { ...rest, "decoder.weight": other }]) {
    writeFileSync(folder.file(INDEX), JSON.stringify({ weight_map }));
    expect([...openCheckpoint(folder.path).tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
  }
});

test("of a tensor in two shards the index says which it is", () => {
  const { folder, map, tensors } = sharded();
  using _ = folder;
  const place = map["decoder.weight"]!;
  const other = Object.values(map).find((file) => file !== place)!;
  const twice = new Map(openSafetensors(folder.file(other)));
  twice.set("decoder.weight", { dtype: "U8", shape: [1], data: new Uint8Array(1), file: other });
  writePlain(folder.file(other), twice);
  const shape = () => openCheckpoint(folder.path).tensors.get("decoder.weight")!.shape;
  expect(shape()).toEqual([...tensors.get("decoder.weight")!.shape]);
  writeFileSync(folder.file(INDEX), JSON.stringify({ weight_map: { ...map, "decoder.weight": other } }));
  expect(shape()).toEqual([1]);
  const { "decoder.weight": _place, ...rest } = map;
  writeFileSync(folder.file(INDEX), JSON.stringify({ weight_map: rest }));
  expect(shape).toThrow("tensor decoder.weight is in");
});

/** The tensors of a reference model, as the original file has them. */
function expectSame(tensors: ReturnType<typeof openCheckpoint>["tensors"], model: string, prefix = "") {
  const original = reference(model).tensors;
  expect([...tensors.keys()].sort()).toEqual([...original.keys()].map((name) => prefix + name).sort());
  for (const [name, { dtype, shape, data }] of original) {
    expect(tensors.get(prefix + name)).toMatchObject({ dtype, shape });
    expect(Buffer.compare(tensors.get(prefix + name)!.data, data)).toBe(0);
  }
}

test("opens pickles: a file of any name, pytorch_model.bin in a folder, and shards", () => {
  expectSame(openCheckpoint(`${PICKLES}fff-1x5.zip.bin`).tensors, "fff-1x5");
  expectSame(openCheckpoint(`${PICKLES}cls-2.sharded`).tensors, "cls-2");
  using folder = new TemporaryFolder();
  copyFileSync(`${PICKLES}fff-1x5.legacy.bin`, folder.file("pytorch_model.bin"));
  expectSame(openCheckpoint(folder.path).tensors, "fff-1x5");
  copyFileSync(`${PICKLES}fff-1x5.legacy.bin`, folder.file("last"));
  expectSame(openCheckpoint(folder.file("last")).tensors, "fff-1x5");
  // Where both are, safetensors is the one.
  writeModel(folder, reference("cls-2"));
  expectSame(openCheckpoint(folder.path).tensors, "cls-2");
});

test("tells what a training run left beside the model", () => {
  expect(openCheckpoint(`${PICKLES}training.bin`).skipped).toEqual(["optimizer", "epoch"]);
  expect(openCheckpoint(`${PICKLES}module.bin`).skipped).toEqual([]);
});

describe("a name on the hub", () => {
  const HUB = process.env.HF_HUB_CACHE;
  afterEach(() => {
    if (HUB === undefined) delete process.env.HF_HUB_CACHE;
    else process.env.HF_HUB_CACHE = HUB;
  });

  test("is its cached snapshot, or how to download it", () => {
    using cache = new TemporaryFolder();
    process.env.HF_HUB_CACHE = cache.path;
    const commit = "0123456789abcdef0123456789abcdef01234567";
    const repo = cache.file("models--some-org--fff");
    mkdirSync(`${repo}/refs`, { recursive: true });
    mkdirSync(`${repo}/snapshots`);
    writeFileSync(`${repo}/refs/main`, commit);
    symlinkSync(`${REFERENCE}fff-3x2`, `${repo}/snapshots/${commit}`);
    expectSame(openCheckpoint("some-org/fff").tensors, "fff-3x2");
    expect(() => openCheckpoint("some-org/other")).toThrow(
      `some-org/other: no such file or folder; some-org/other is not in the cache ${cache.path}; download it first: uffb download some-org/other`,
    );
  });

  test.each(["./none/there", "a/b/c", "models/", "models/x.safetensors", "models/x.bin"])(
    "cannot be %s",
    (path) => {
      expect(() => openCheckpoint(path)).toThrow(new UffbError(`${path}: no such file or folder`));
    },
  );
});

describe("refuses", () => {
  test("places without a model", () => {
    using folder = new TemporaryFolder();
    expect(() => openCheckpoint(folder.file("none"))).toThrow("none: no such file or folder");
    expect(() => openCheckpoint(folder.path)).toThrow("holds no model.safetensors or pytorch_model.bin");
    mkdirSync(folder.file("model.safetensors"));
    expect(() => openCheckpoint(folder.path)).toThrow("model.safetensors: is a folder, not a file");
  });

  test("text that is not UTF-8", () => {
    using folder = new TemporaryFolder();
    writeModel(folder, reference("cls-2"));
    writeFileSync(folder.file("config.json"), new Uint8Array([0x7b, 0xff]));
    expect(() => openCheckpoint(folder.path).file("config.json")).toThrow("config.json: is not UTF-8");
  });

  test("an index that leads out of its folder", () => {
    using outside = new TemporaryFolder();
    copyFileSync(`${REFERENCE}cls-2/model.safetensors`, outside.file("x.safetensors"));
    for (const place of [
      `../${outside.path.split("/").at(-1)}/x.safetensors`,
      outside.file("x.safetensors"),
      "..",
      ".",
      "",
      "a\0.safetensors",
      "x.bin",
    ]) {
      using folder = new TemporaryFolder();
      writeFileSync(folder.file(INDEX), JSON.stringify({ weight_map: { a: place } }));
      expect(() => openCheckpoint(folder.path)).toThrow("is not the name of a file beside it");
    }
  });

  test("links to files that are gone, which are not the same as no files", () => {
    using folder = new TemporaryFolder();
    writeModel(folder, reference("cls-2"));
    symlinkSync("../blobs/0000", folder.file("modules.json"));
    const gone = "modules.json: is a link to a file that is gone; get the file again";
    expect(() => openCheckpoint(folder.path).file("modules.json")).toThrow(gone);
    rmSync(folder.file("model.safetensors"));
    copyFileSync(`${PICKLES}fff-1x5.legacy.bin`, folder.file("pytorch_model.bin"));
    symlinkSync("../blobs/0000", folder.file(INDEX));
    expect(() => openCheckpoint(folder.path)).toThrow(`${INDEX}: is a link to a file that is gone`);
    symlinkSync("../blobs/0000", folder.file("model.safetensors"));
    expect(() => openCheckpoint(folder.path)).toThrow("model.safetensors: is a link to a file that is gone");
  });

  test("an index that is none", () => {
    const { folder, map } = sharded();
    using _ = folder;
    const refused = (weight_map: unknown, message: string) => {
      writeFileSync(folder.file(INDEX), JSON.stringify({ weight_map }));
      expect(() => openCheckpoint(folder.path)).toThrow(message);
    };
    refused({ ...map, extra: "model-3.safetensors" }, "model-3.safetensors: no such file");
    refused({ ...map, extra: 3 }, "weight_map of extra");
    refused([], "has no weight_map");
    writeFileSync(folder.file(INDEX), "null");
    expect(() => openCheckpoint(folder.path)).toThrow(`${INDEX}: the file must be an object`);
    writeFileSync(folder.file(INDEX), "{");
    expect(() => openCheckpoint(folder.path)).toThrow(`${INDEX}: not valid JSON`);
  });

  test("any other index, with one clear error", () => {
    const { folder, map } = sharded();
    using _ = folder;
    const names = fc.constantFrom(...Object.keys(map), "x");
    const places = fc.oneof(
      fc.constantFrom(...Object.values(map), "../x.safetensors", "x.safetensors"),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(names, places), { maxLength: 3 }), fc.nat(40), (edits, cut) => {
        const text = JSON.stringify({ weight_map: { ...map, ...Object.fromEntries(edits) } });
        writeFileSync(folder.file(INDEX), cut < 3 ? text.slice(0, (text.length * cut) / 3 + 1) : text);
        try {
          expect(openCheckpoint(folder.path).tensors.size).toBe(Object.keys(map).length);
        } catch (error) {
          if (!(error instanceof UffbError)) throw error;
        }
      }),
      { numRuns: 300 },
    );
  });
});
