import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  bytes,
  checkpoint,
  type LegacyParts,
  legacy,
  op,
  pickle,
  storage,
  tensor,
  zip,
} from "../../../testing/forge.ts";
import { UffbError } from "../../base/errors.ts";
import { openSafetensors } from "../safetensors/safetensors.ts";
import { openPickle, type PickledTensor, parsePickle } from "./pickle.ts";

const FIXTURES = new URL("../../../fixtures/pickle/", import.meta.url).pathname;
const REFERENCE = new URL("../../../fixtures/reference/", import.meta.url).pathname;

type Expected = Record<string, Record<string, { dtype: string; shape: number[]; sha256: string }>>;
const expected = (await Bun.file(`${FIXTURES}expected.json`).json()) as Expected;

const folder = mkdtempSync(join(tmpdir(), "uffb-pickle-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Opens bytes as a file. */
function open(content: Uint8Array, onSkip?: (key: string) => void) {
  const path = join(folder, "model.bin");
  rmSync(path, { force: true });
  writeFileSync(path, content);
  return openPickle(path, onSkip);
}

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** Compares with the safetensors file of a reference model. */
function expectEqual(read: Map<string, PickledTensor>, origin: string, prefix = "") {
  const original = openSafetensors(`${REFERENCE}${origin}/model.safetensors`);
  expect(read.size).toBe(original.size);
  for (const [name, { dtype, shape, data }] of original) {
    const tensor = read.get(prefix + name)!;
    expect(tensor.dtype).toBe(dtype);
    expect(tensor.shape).toEqual(shape);
    expect(Buffer.compare(tensor.data, data)).toBe(0);
  }
}

describe("files written by PyTorch", () => {
  test("there are fixtures for both formats", () => {
    const files = Object.keys(expected);
    expect(files.filter((file) => file.includes("legacy")).length).toBeGreaterThan(3);
    expect(files.filter((file) => !file.includes("legacy")).length).toBeGreaterThan(6);
  });

  test.each(Object.entries(expected))("%s: every name, dtype, shape and bit", (file, tensors) => {
    const read = openPickle(FIXTURES + file);
    const digests = [...read].map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, sha256: sha256(data) },
    ]);
    expect(Object.fromEntries(digests)).toEqual(tensors);
    expect([...read.keys()]).toEqual(Object.keys(tensors));
  });

  const origins: [string, string, string][] = [
    ["fff-1x5.zip.bin", "fff-1x5", ""],
    ["fff-1x5.legacy.bin", "fff-1x5", ""],
    ["fff-3x2.module.legacy.bin", "fff-3x2", "module."],
    ["cls-reg.wrapped.legacy.bin", "cls-reg", ""],
  ];
  test.each(origins)("%s has the bits of %s", (file, origin, prefix) => {
    expectEqual(openPickle(FIXTURES + file), origin, prefix);
  });

  test("contiguous tensors are views of one mapping, strided ones copies", () => {
    for (const file of ["views.zip.bin", "views.legacy.bin"]) {
      const read = openPickle(FIXTURES + file);
      const mapping = read.get("whole")!.data.buffer;
      for (const name of ["tied", "parameter", "rows", "scalar", "strided_scalar", "expanded_one"]) {
        expect(read.get(name)!.data.buffer).toBe(mapping);
      }
      for (const name of ["transposed", "columns", "permuted"]) {
        expect(read.get(name)!.data.buffer).not.toBe(mapping);
      }
    }
  });

  test("tensors that lie over one another are refused where they are many", () => {
    const elements = 1_000_000;
    const views = (count: number) =>
      checkpoint(
        op.dict(
          ...Array.from({ length: count }, (_, i) => [
            op.text(`a${i}`),
            tensor(storage("0", elements), i, [elements - count], [1]),
          ]).flat(),
        ),
        { 0: new Uint8Array(4 * elements) },
      );
    expect(parsePickle(views(2), "x").size).toBe(2);
    expect(() => parsePickle(views(20), "x")).toThrow("its tensors lie over one another");
  });

  test("tied tensors have one identity, others their own", () => {
    const read = openPickle(`${FIXTURES}views.zip.bin`);
    const identity = (name: string) => read.get(name)!.identity;
    expect(identity("tied")).toBe(identity("whole"));
    expect(identity("parameter")).toBe(identity("whole"));
    const different = ["whole", "transposed", "rows", "columns", "permuted", "scalar"].map(identity);
    expect(new Set(different).size).toBe(different.length);
    const other = openPickle(`${FIXTURES}views.legacy.bin`);
    expect(other.get("whole")!.identity).not.toBe(identity("whole"));
  });

  test("what stands beside a wrapped model is reported", () => {
    const skipped: string[] = [];
    openPickle(`${FIXTURES}training.bin`, (key) => skipped.push(key));
    expect(skipped).toEqual(["optimizer", "epoch"]);
  });
});

describe("files written by PyTorch that are refused", () => {
  const cases: [string, RegExp][] = [
    ["evil.zip.bin", /asks for posix\.system, .*nothing was run/],
    ["evil.legacy.bin", /asks for posix\.system, .*nothing was run/],
    ["whole-module.bin", /asks for torch\.nn\.modules\.container\.Sequential/],
    ["complex.bin", /torch\.ComplexFloatStorage/],
    ["float4.bin", /torch\.float4_e2m1fn_x2/],
    ["sparse.bin", /torch\._utils\._rebuild_sparse_tensor/],
    ["expanded.bin", /repeats elements/],
    ["one-tensor.bin", /a single tensor/],
    ["no-tensors.bin", /holds no tensors/],
    ["torchscript.bin", /TorchScript/],
  ];
  test.each(cases)("%s", (file, message) => {
    const path = `${FIXTURES}refused/${file}`;
    expect(() => openPickle(path)).toThrow(UffbError);
    expect(() => openPickle(path)).toThrow(message);
    expect(() => openPickle(path)).toThrow(path);
  });

  test("each file there is tested, and none of them ran", () => {
    expect(readdirSync(`${FIXTURES}refused`).sort()).toEqual(cases.map(([file]) => file).sort());
    expect(existsSync("uffb-was-here")).toBe(false);
  });
});

describe.each(readdirSync(REFERENCE))("the reference model %s in either format", (model) => {
  const stored = [...openSafetensors(`${REFERENCE}${model}/model.safetensors`)];
  const items = stored.flatMap(([name, { shape }], i) => {
    const count = shape.reduce((product, n) => product * n, 1);
    const strides = shape.map((_, d) => shape.slice(d + 1).reduce((product, n) => product * n, 1));
    return [op.text(name), tensor(storage(`${i}`, count), 0, shape, strides)];
  });
  const objects = op.dict(...items);

  test("ZIP", () => {
    expectEqual(
      open(checkpoint(objects, Object.fromEntries(stored.map(([, { data }], i) => [`${i}`, data])))),
      model,
    );
  });

  test("legacy", () => {
    const storages = stored.map(([, { data }], i): [string, number, Uint8Array] => [
      `${i}`,
      data.length / 4,
      data,
    ]);
    expectEqual(open(legacy(objects, { storages })), model);
  });
});

const ONE = storage("0", 6);
const SIX = { "0": new Uint8Array(24).map((_, i) => i) };
const named = (value: Uint8Array) => op.dict(op.text("w"), value);
const good = named(tensor(ONE, 0, [2, 3], [3, 1]));

describe("forged ZIP checkpoints", () => {
  test("an honest one is read", () => {
    const skipped: string[] = [];
    const tensors = open(checkpoint(good, SIX), (key) => skipped.push(key));
    expect(tensors.get("w")).toMatchObject({ dtype: "F32", shape: [2, 3], data: SIX["0"] });
    expect(skipped).toEqual([]);
  });

  const broken: [string, Uint8Array, RegExp][] = [
    ["a shape beyond the storage", tensor(ONE, 0, [7], [1]), /leaves its storage 0 of 6 elements/],
    ["an offset beyond the storage", tensor(ONE, 1, [2, 3], [3, 1]), /leaves its storage/],
    ["strides beyond the storage", tensor(ONE, 0, [2, 3], [4, 1]), /leaves its storage/],
    ["strides that overflow", tensor(ONE, 0, [3, 2], [2n ** 53n - 1n, 2n ** 53n - 1n]), /leaves its storage/],
    ["a negative size", tensor(ONE, 0, [-2, -3], [3, 1]), /shape is not a list of .* sizes/],
    ["a negative stride", tensor(ONE, 5, [6], [-1]), /stride is not a list of/],
    ["a negative offset", tensor(ONE, -1, [1], [1]), /offset is not a size/],
    ["an enormous size", tensor(ONE, 0, [2n ** 60n], [0]), /shape is not a list of/],
    ["an enormous product", tensor(ONE, 0, [2 ** 40, 2 ** 40], [0, 0]), /too large/],
    ["an enormous empty one", tensor(ONE, 0, [2 ** 40, 0, 2 ** 40], [0, 0, 0]), /too large/],
    ["elements without end", tensor(ONE, 0, [2 ** 40], [0]), /repeats elements/],
    ["too few strides", tensor(ONE, 0, [2, 3], [1]), /another number of dimensions/],
    ["too many dimensions", tensor(ONE, 0, Array(17).fill(1), Array(17).fill(1)), /at most 16/],
    ["a tensor over a number", tensor(op.int(1), 0, [1], [1]), /not a storage/],
    ["a storage that is not there", tensor(storage("1", 6), 0, [1], [1]), /storage 1 is not in the file/],
    ["a storage out of the folder", tensor(storage("../../etc", 6), 0, [1], [1]), /is not in the file/],
    ["a storage shorter than it says", tensor(storage("0", 7), 0, [1], [1]), /24 bytes instead of 28/],
    ["a storage longer than it says", tensor(storage("0", 5), 0, [1], [1]), /24 bytes instead of 20/],
    ["a storage of an absurd size", tensor(storage("0", 2n ** 62n), 0, [1], [1]), /no valid size/],
    ["a storage of a negative size", tensor(storage("0", -1), 0, [1], [1]), /no valid size/],
    [
      "a view of a storage",
      tensor(storage("0", 6, "FloatStorage", op.text("v")), 0, [1], [1]),
      /view of another/,
    ],
    [
      "a parameter around a number",
      bytes(op.global("torch._utils._rebuild_parameter"), op.sizes([1]), "R"),
      /not a tensor/,
    ],
    ["a tensor that is called", bytes(tensor(ONE, 0, [1], [1]), ")R"), /not a function/],
    ["a storage class that is called", bytes(op.global("torch.FloatStorage"), ")R"), /not a function/],
    ["an unknown element type", bytes(op.global("torch.qint8")), /torch\.qint8/],
    ["eval", op.global("builtins.eval"), /asks for builtins\.eval/],
    [
      "the loader that would unpickle again",
      op.global("torch.storage._load_from_bytes"),
      /asks for torch\.storage\._load/,
    ],
    ["a name of JavaScript's", op.global("collections.constructor"), /asks for collections\.constructor/],
    ["a name to mess up a terminal", op.global("os\u001b[31m.system"), /asks for "os\\u001b/],
  ];
  test.each(broken)("%s", (_name, value, message) => {
    expect(() => open(checkpoint(named(value), SIX))).toThrow(UffbError);
    expect(() => open(checkpoint(named(value), SIX))).toThrow(message);
  });

  test("one storage in two types", () => {
    const both = op.dict(
      ...[
        op.text("a"),
        tensor(ONE, 0, [1], [1]),
        op.text("b"),
        tensor(storage("0", 6, "IntStorage"), 0, [1], [1]),
      ],
    );
    expect(() => open(checkpoint(both, SIX))).toThrow(/storage 0 is described in two ways/);
  });

  test("big-endian numbers", () => {
    expect(() => open(checkpoint(good, SIX, [{ name: "m/byteorder", data: bytes("big") }]))).toThrow(
      /big-endian/,
    );
  });

  test("a compressed storage", () => {
    const file = zip([
      { name: "m/data.pkl", data: pickle(good) },
      { name: "m/data/0", data: SIX["0"], method: 8 },
    ]);
    expect(() => open(file)).toThrow(/m\/data\/0 is compressed/);
  });

  test("two checkpoints in one file", () => {
    const data = pickle(good);
    expect(() => open(zip(["a/data.pkl", "b/data.pkl"].map((name) => ({ name, data }))))).toThrow(
      /not a PyTorch/,
    );
  });

  test("some other ZIP file, an empty file, a text, a missing file, an LFS pointer", () => {
    expect(() => open(zip([{ name: "readme.txt", data: bytes("hi") }]))).toThrow(/not a PyTorch checkpoint/);
    expect(() => open(bytes())).toThrow(/is empty/);
    expect(() => open(bytes("hello"))).toThrow(/neither of the formats/);
    expect(() => openPickle(join(folder, "nowhere.bin"))).toThrow(/no such file/);
    expect(() => open(bytes("version https://git-lfs.github.com/spec/v1\n"))).toThrow(/Git LFS pointer/);
  });
});

describe("names", () => {
  const value = tensor(ONE, 0, [1], [1]);

  test("nested dicts and lists are joined with dots", () => {
    const inner = op.dict(op.text("w"), value, op.text("rate"), bytes("G", new Uint8Array(8)));
    const list = bytes("]", inner, "a", value, "a");
    expect([...open(checkpoint(op.dict(op.text("a"), inner, op.text("b"), list), SIX)).keys()]).toEqual([
      ...["a.w", "b.0.w", "b.1"],
    ]);
  });

  test("a wrapper's name among tensors is just a name", () => {
    const nested = op.dict(op.text("model"), op.dict(op.text("w"), value), op.text("v"), value);
    expect([...open(checkpoint(nested, SIX)).keys()]).toEqual(["model.w", "v"]);
  });

  const cases: [string, Uint8Array, RegExp][] = [
    [
      "two that are equal",
      op.dict(op.text("a.b"), value, op.text("a"), op.dict(op.text("b"), value)),
      /two tensors are called a\.b/,
    ],
    ["none", op.dict(op.text(""), value), /is empty/],
    ["a long one", op.dict(op.text("x".repeat(300)), value), /more than 256 characters/],
    ["one to mess up a terminal", op.dict(op.text("a\u001b[2J"), value), /control characters/],
    ["a dict in itself", bytes("}q\x00", op.text("a"), "h\x00s"), /in two places/],
    [
      "a dict in two places",
      bytes(op.dict(op.text("w"), value), "q\x00", "}", op.text("a"), "h\x00s", op.text("b"), "h\x00s"),
      /in two places/,
    ],
    ["a deep one", bytes("]".repeat(50), "a".repeat(49)), /nested too deeply/],
  ];
  test.each(cases)("%s", (_name, objects, message) => {
    expect(() => open(checkpoint(objects, SIX))).toThrow(UffbError);
    expect(() => open(checkpoint(objects, SIX))).toThrow(message);
  });
});

describe("forged legacy checkpoints", () => {
  type Parts = LegacyParts & { keys?: string[]; count?: number; data?: Uint8Array };
  const forged = ({ keys = ["0"], count = 6, data = SIX["0"], ...parts }: Parts = {}) =>
    legacy(good, { storages: keys.map((key) => [key, count, data]), ...parts });

  test("an honest one is read", () => {
    expect(open(forged()).get("w")).toMatchObject({ dtype: "F32", shape: [2, 3], data: SIX["0"] });
  });

  const cases: [string, Uint8Array, RegExp][] = [
    ["another magic number", forged({ magic: op.int(5) }), /not a PyTorch checkpoint/],
    ["another protocol", forged({ protocol: 1002 }), /unknown version/],
    ["big-endian numbers", forged({ little: false }), /big-endian/],
    ["no storages", forged({ keys: [] }), /list of storages/],
    ["an unknown storage", forged({ keys: ["7"] }), /list of storages/],
    ["a storage twice", forged({ keys: ["0", "0"] }), /list of storages/],
    ["another size", forged({ count: 5 }), /storage 0 is not in the file/],
    ["a negative size", forged({ count: -1 }), /storage 0 is not in the file/],
    ["cut off", forged({ data: new Uint8Array(23) }), /storage 0 is not in the file/],
    ["a global in the header", forged({ magic: op.global("os.system") }), /header asks for os\.system/],
  ];
  test.each(cases)("%s", (_name, file, message) => {
    expect(() => open(file)).toThrow(UffbError);
    expect(() => open(file)).toThrow(message);
  });
});

test("any strided view is gathered as by its definition", () => {
  const view = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 5 })), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(view, fc.nat(5), (dimensions, offset) => {
      const shape = dimensions.map(([n]) => n);
      const strides = dimensions.map(([, stride]) => stride);
      let places = [offset];
      for (const [n, stride] of dimensions)
        places = places.flatMap((at) => Array.from({ length: n }, (_, i) => at + i * stride));
      const length = Math.max(...places, places.length) + 1;
      const data = new Uint8Array(2 * length).map((_, i) => (i * 37) % 251);
      const type = "ShortStorage";
      const file = checkpoint(named(tensor(storage("0", length, type), offset, shape, strides)), {
        "0": data,
      });
      const want = places.flatMap((at) => [data[2 * at]!, data[2 * at + 1]!]);
      expect([...open(file).get("w")!.data]).toEqual(want);
    }),
    { numRuns: 300 },
  );
});
