import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { safetensorsBytes, TemporaryFolder } from "../../../testing/folders.ts";
import { UffbError } from "../../base/errors.ts";
import { byteCount, openSafetensors, openTensorFile, parseTensorFile } from "./safetensors.ts";
import { writeSafetensors } from "./write.ts";

const DATA = new Uint8Array(24).map((_, i) => i);
const GOOD = {
  __metadata__: { format: "pt" },
  a: { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] },
  "b.c": { dtype: "F16", shape: [], data_offsets: [22, 24] },
  d: { dtype: "U8", shape: [2, 3], data_offsets: [16, 22] },
};

function parse(header: unknown, data = DATA) {
  return parseTensorFile(
    safetensorsBytes(typeof header === "string" ? header : JSON.stringify(header), data),
    "x.safetensors",
  );
}

describe("reading", () => {
  test("gives tensors and metadata", () => {
    const { metadata, tensors } = parse(GOOD);
    expect(metadata).toEqual({ format: "pt" });
    expect([...tensors.keys()].sort()).toEqual(["a", "b.c", "d"]);
    expect(tensors.get("b.c")).toMatchObject({ dtype: "F16", shape: [], file: "x.safetensors" });
    expect([...tensors.get("d")!.data]).toEqual([16, 17, 18, 19, 20, 21]);
  });

  test("gives views, not copies", () => {
    const bytes = safetensorsBytes(JSON.stringify(GOOD), DATA);
    const { tensors } = parseTensorFile(bytes, "x");
    bytes.fill(7);
    expect([...tensors.get("b.c")!.data]).toEqual([7, 7]);
  });

  test("takes bytes in the middle of a buffer, and spaces after the header", () => {
    const file = safetensorsBytes(`${JSON.stringify(GOOD)}   `, DATA);
    const buffer = new Uint8Array(file.length + 40);
    buffer.set(file, 13);
    const { tensors } = parseTensorFile(buffer.subarray(13, 13 + file.length), "x");
    expect([...tensors.get("a")!.data]).toEqual([...DATA.subarray(0, 16)]);
  });

  test("takes names that mean something to JavaScript", () => {
    const { tensors } = parse('{"__proto__":{"dtype":"U8","shape":[24],"data_offsets":[0,24]}}');
    expect([...tensors.keys()]).toEqual(["__proto__"]);
  });

  test("takes files without tensors, and tensors without elements", () => {
    expect(parse({}, new Uint8Array(0)).tensors.size).toBe(0);
    const empty = { dtype: "F64", shape: [3, 0, 2 ** 52], data_offsets: [0, 0] };
    expect(parse({ empty }, new Uint8Array(0)).tensors.get("empty")!.data.length).toBe(0);
  });

  const a = GOOD.a;
  test.each([
    [
      "outside the file",
      { ...GOOD, a: { ...a, shape: [8, 8], data_offsets: [0, 256] } },
      "tensor a lies at bytes 0 to 256",
    ],
    [
      "overlapping",
      { ...GOOD, e: { dtype: "U8", shape: [4], data_offsets: [4, 8] } },
      "tensor e overlaps tensor a",
    ],
    ["a hole", { a, "b.c": GOOD["b.c"] }, "6 bytes between tensor a and tensor b.c"],
    ["bytes at the end", { a }, "8 bytes after tensor a"],
    [
      "too few bytes",
      { ...GOOD, a: { ...a, shape: [2, 3] } },
      "tensor a, F32 [2, 3], has 16 bytes instead of 24",
    ],
    ["begin after end", { ...GOOD, a: { ...a, data_offsets: [16, 0] } }, "tensor a lies at bytes 16 to 0"],
    ["dtype", { ...GOOD, a: { ...a, dtype: "Q4" } }, 'tensor a has the unknown dtype "Q4"'],
    ["inherited dtype", { ...GOOD, a: { ...a, dtype: "constructor" } }, "unknown dtype"],
    ["no dtype", { ...GOOD, a: { ...a, dtype: undefined } }, "unknown dtype undefined"],
    ["negative size", { ...GOOD, a: { ...a, shape: [-2, -2] } }, "tensor a has a shape"],
    ["fraction", { ...GOOD, a: { ...a, shape: [1.5] } }, "tensor a has a shape"],
    ["huge sizes", { ...GOOD, a: { ...a, shape: [2 ** 40, 2 ** 40] } }, "instead of 4.8"],
    ["unsafe size", { ...GOOD, a: { ...a, shape: [2 ** 60] } }, "tensor a has a shape"],
    ["three offsets", { ...GOOD, a: { ...a, data_offsets: [0, 8, 16] } }, "tensor a has data_offsets"],
    ["text offsets", { ...GOOD, a: { ...a, data_offsets: ["0", "16"] } }, "tensor a has data_offsets"],
    ["an entry that is no object", { ...GOOD, a: 5 }, "tensor a in the header is not an object"],
    ["metadata that is no text", { ...GOOD, __metadata__: { n: 1 } }, "__metadata__"],
    ["a list", "[]", "does not start with {"],
    ["a byte order mark", "\ufeff{}", "does not start with {"],
    ["no JSON", "{nonsense}", "the header: not valid JSON"],
    [
      "a name twice",
      '{"a":{"dtype":"U8","shape":[24],"data_offsets":[0,24]},"a":{"dtype":"U8","shape":[24],"data_offsets":[0,24]}}',
      "twice",
    ],
    ["a property twice", '{"a":{"dtype":"U8","dtype":"U8","shape":[24],"data_offsets":[0,24]}}', "twice"],
    ["millions of parts", `{"a":[${"[],".repeat(600_000)}[]]}`, "too many parts"],
    ["deep nesting", `{"a":${"[".repeat(400_000)}${"]".repeat(400_000)}}`, ""],
  ])("refuses %s", (_, header, message) => {
    expect(() => parse(header)).toThrow(UffbError);
    expect(() => parse(header)).toThrow(message);
  });

  test("metadata may stand anywhere in the header, or nowhere", () => {
    const { __metadata__: _, ...rest } = GOOD;
    const tensors = Object.entries(rest).map(
      ([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`,
    );
    const metadata = { format: "pt", 'a "{,:[': '},":', "": "\\" };
    const member = `"__metadata__" :\n${JSON.stringify(metadata)} `;
    for (let at = 0; at <= tensors.length; at++) {
      const file = parse(`{${tensors.toSpliced(at, 0, member).join(" , ")}}`);
      expect(file.metadata).toEqual(metadata);
      expect([...file.tensors.keys()]).toEqual(Object.keys(rest));
    }
    expect(parse(`{${tensors.join()}}`).metadata).toEqual({});
    expect(parseTensorFile(safetensorsBytes(`{${member}}`), "x").metadata).toEqual(metadata);
    expect(() => parse(`{"__met\\u0061data__":{},${tensors.join()}}`)).toThrow(
      "spells __metadata__ with escapes",
    );
  });

  test("null is no metadata, and properties beyond the three mean nothing, as to the format's own reader", () => {
    const { __metadata__: _, a, ...rest } = GOOD;
    const file = parse({ a: { ...a, strides: [2, 1], note: { x: null } }, __metadata__: null, ...rest });
    expect(file.metadata).toEqual({});
    expect([...file.tensors.keys()]).toEqual(["a", ...Object.keys(rest)]);
    expect([...file.tensors.get("a")!.data]).toEqual([...DATA.subarray(0, 16)]);
  });

  test("refuses what is not such a file", () => {
    const good = safetensorsBytes(JSON.stringify(GOOD), DATA);
    const refused = (bytes: Uint8Array, message: string) =>
      expect(() => parseTensorFile(bytes, "x")).toThrow(message);
    refused(new Uint8Array(3), "x: has 3 bytes");
    refused(good.subarray(0, 40), "only 32 follow");
    refused(good.subarray(0, good.length - 1), "tensor b.c lies at bytes 22 to 24, outside the 23 bytes");
    refused(new Uint8Array(16).fill(255), "declares a header of 18446744073709551615 bytes");
    refused(safetensorsBytes(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])), "not UTF-8");
    refused(new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid"), "Git LFS");
  });

  test("refuses what is not a file", () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file("empty"), "");
    expect(() => openSafetensors(folder.file("empty"))).toThrow("is empty");
    expect(() => openSafetensors(folder.path)).toThrow("is a folder, not a file");
    expect(() => openSafetensors(folder.file("none"))).toThrow("no such file");
    expect(() => openSafetensors("/dev/zero")).toThrow("is a device or a pipe, not a file");
  });
});

/** Whatever the bytes, there is one clear error, or tensors that lie inside them. */
function readsSafely(bytes: Uint8Array): void {
  try {
    for (const { dtype, shape, data } of parseTensorFile(bytes, "x").tensors.values()) {
      expect(data.length).toBe(byteCount(dtype, shape));
      expect(data.byteOffset + data.length).toBeLessThanOrEqual(bytes.byteOffset + bytes.length);
    }
  } catch (error) {
    if (!(error instanceof UffbError)) throw error;
  }
}

describe("strangers' files", () => {
  test("changed bytes", () => {
    const good = safetensorsBytes(JSON.stringify(GOOD), DATA);
    const edit = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), fc.nat(good.length), (edits, cut) => {
        const bytes = good.slice(0, cut < 20 ? cut : good.length);
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        readsSafely(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  test("changed headers", () => {
    const size = fc.oneof(
      fc.nat(30),
      fc.integer(),
      fc.double(),
      fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53, -1),
      fc.jsonValue(),
    );
    const entry = fc.record(
      {
        dtype: fc.oneof(fc.constantFrom("F32", "U8", "I64", "BF16", "F13"), fc.jsonValue()),
        shape: fc.oneof(fc.array(size, { maxLength: 4 }), fc.jsonValue()),
        data_offsets: fc.oneof(fc.tuple(size, size), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const header = fc.dictionary(
      fc.oneof(fc.string(), fc.constant("__metadata__")),
      fc.oneof(entry, fc.jsonValue()),
    );
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 64 }), (entries, data) => {
        readsSafely(safetensorsBytes(JSON.stringify(entries), data));
      }),
      { numRuns: 2000 },
    );
  });
});

test("a tensor of several names is there under all of them", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("shared.safetensors");
  const a = { dtype: "U8", shape: [1], data_offsets: [0, 1] };
  const metadata = { format: "a", b: "a", c: "none", a: "a", d: "b" };
  writeFileSync(path, safetensorsBytes(JSON.stringify({ __metadata__: metadata, a }), new Uint8Array([7])));
  const tensors = openSafetensors(path);
  expect([...tensors.keys()]).toEqual(["a", "b"]);
  expect(tensors.get("b")).toBe(tensors.get("a")!);
});

describe("writing", () => {
  test("reads back the same, aligned where asked for", async () => {
    using folder = new TemporaryFolder();
    const path = folder.file("out.safetensors");
    const shapes = fc.array(fc.array(fc.nat(5), { maxLength: 3 }), { maxLength: 8 });
    const metadatas = fc.dictionary(fc.string(), fc.string());
    await fc.assert(
      fc.asyncProperty(shapes, metadatas, fc.boolean(), async (all, metadata, aligned) => {
        const tensors = all.map((shape, i) => {
          const data = crypto.getRandomValues(new Uint8Array(byteCount("F16", shape)));
          return { name: `t${i}`, dtype: "F16", shape, data: () => [data.subarray(0, 5), data.subarray(5)] };
        });
        const bytes = await writeSafetensors(path, metadata, tensors, { aligned });
        const file = openTensorFile(path);
        expect(readFileSync(path).length).toBe(bytes);
        expect(file.metadata).toEqual(metadata);
        if (!aligned) expect(file.tensors.size).toBe(tensors.length);
        for (const { name, shape, data } of tensors) {
          const read = file.tensors.get(name)!;
          expect(read.shape).toEqual(shape);
          expect(Buffer.compare(read.data, Buffer.concat(data()))).toBe(0);
          if (aligned && read.data.length > 0) expect(read.data.byteOffset % 64).toBe(0);
        }
      }),
    );
  });
});
