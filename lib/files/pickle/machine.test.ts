import { describe, expect, test } from "bun:test";
import { bytes, le, op, pickle } from "../../../testing/forge.ts";
import { UffbError } from "../../base/errors.ts";
import { type Host, unpickle } from "./machine.ts";

const host: Host = {
  global: (module, name) => ({ module, name }),
  call: (callable, args) => ({ callable, args }),
  persistent: (id) => ({ id }),
};
const read = (value: Uint8Array) => unpickle(pickle(value), 0, host).value;

describe("values", () => {
  const cases: [string, Uint8Array, unknown][] = [
    ["None", bytes("N"), null],
    ["True", bytes(0x88), true],
    ["BININT", bytes("J", le(-5, 4)), -5],
    ["BININT2", bytes("M", le(65535, 2)), 65535],
    ["LONG1, negative", bytes(0x8a, 1, 0xff), -1],
    ["LONG1, empty", bytes(0x8a, 0), 0],
    ["LONG1 beyond 2^53", op.int(2n ** 62n), 2n ** 62n],
    ["BINFLOAT", bytes("G", [0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), 1.5],
    ["text with a byte order mark", op.text("\ufeffé"), "\ufeffé"],
    ["BINUNICODE8", bytes(0x8d, le(2, 8), "hi"), "hi"],
    ["bytes", bytes("C", 2, "hi"), bytes("hi")],
    ["a frame", bytes(0x95, le(1, 8), "N"), null],
    ["tuples", bytes("K\x01K\x02K\x03", 0x87, 0x85), [[1, 2, 3]]],
    ["list", bytes("]K\x01a(K\x02K\x03e"), [1, 2, 3]],
    [
      "dict",
      bytes("}", op.text("a"), "K\x01s(", op.text("b"), "Nu"),
      new Map([
        ["a", 1],
        ["b", null],
      ] as [string, number | null][]),
    ],
    ["memo", bytes(op.text("a"), "q\x07", "h\x07", 0x86), ["a", "a"]],
    ["memoize", bytes(op.text("a"), 0x94, op.text("b"), 0x94, "h\x01", 0x87), ["a", "b", "b"]],
    ["POP and POP_MARK", bytes("K\x01K\x020(K\x03K\x041"), 1],
    ["global", op.global("a.b.c"), { module: "a.b", name: "c" }],
    ["stack global", bytes(op.text("a.b"), op.text("c"), 0x93), { module: "a.b", name: "c" }],
    [
      "a call",
      bytes(op.global("m.f"), "K\x05", 0x85, "R"),
      { callable: { module: "m", name: "f" }, args: [5] },
    ],
    ["a persistent id", bytes("K\x05Q"), { id: 5 }],
    [
      "attributes of a dict are dropped",
      bytes("}", op.dict(op.text("_metadata"), bytes("N")), "b"),
      new Map(),
    ],
  ];
  test.each(cases)("%s", (_name, value, expected) => {
    expect(read(value)).toEqual(expected as never);
  });

  test("gives the position after the pickle, wherever it starts", () => {
    const file = bytes("junk", pickle(bytes("K\x07")), "rest");
    expect(unpickle(file, 4, host)).toEqual({ value: 7, end: file.length - 4 });
  });
});

describe("refuses", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["an opcode that is not on the list (INST)", bytes("(ios\nsystem\n"), /opcode 0x69 at byte 3/],
    ["NEWOBJ", bytes(op.global("a.b"), ")", 0x81), /opcode 0x81/],
    ["EXT1", bytes(0x82, 1), /opcode 0x82/],
    ["a missing value", bytes("0"), /a value is missing/],
    ["reaching below a mark", bytes("K\x01(K\x02", 0x86), /a value is missing/],
    ["a missing mark", bytes("t"), /a mark is missing/],
    ["an empty pickle", bytes(), /a value is missing/],
    ["a missing memo entry", bytes("h\x07"), /memo entry/],
    ["text beyond the end", bytes("X", le(2 ** 31, 4), "a"), /ends too early/],
    ["a 64-bit length beyond the end", bytes(0x8d, le(2n ** 63n, 8)), /ends too early/],
    ["bad UTF-8", bytes("U\x01", 0xff), /not UTF-8/],
    ["appending to a number", bytes("K\x01K\x02a"), /a list is missing/],
    ["half a dict item", bytes("}(K\x01u"), /a dict is missing/],
    ["a key twice", op.dict(op.text("k"), bytes("N"), op.text("k"), bytes("N")), /k twice/],
    ["a global without end", bytes("c", "x".repeat(300)), /a name without an end/],
    ["a global with numbers for names", bytes("K\x01K\x02", 0x93), /a global without a name/],
    ["attributes of something else", bytes("K\x01}b"), /attributes of an unknown object/],
  ];
  test.each(cases)("%s", (_name, value, message) => {
    expect(() => read(value)).toThrow(UffbError);
    expect(() => read(value)).toThrow(message);
  });

  test("protocols 0, 1 and 6, and a pickle without STOP", () => {
    expect(() => unpickle(bytes("N."), 0, host)).toThrow(/header/);
    expect(() => unpickle(bytes(0x80, 6, "N."), 0, host)).toThrow(/protocol 6/);
    expect(() => unpickle(bytes(0x80, 2, "N"), 0, host)).toThrow(/./);
  });
});

describe("bounds memory and time", () => {
  const repeat = (part: Uint8Array, count: number) => new Uint8Array(Buffer.concat(Array(count).fill(part)));
  const cases: [string, Uint8Array][] = [
    ["empty dicts", repeat(bytes("}"), 400_000)],
    ["a list that grows by itself", bytes("]q\x00", repeat(bytes("(", "h\x00".repeat(100), "e"), 40_000))],
    ["memo entries", bytes("N", ...Array.from({ length: 1 }, () => repeat(bytes(0x94), 800_000)))],
    ["calls", bytes(op.global("a.b"), "q\x00", repeat(bytes("h\x00N", 0x85, "R"), 200_000))],
    [
      "calls with one long list",
      bytes(
        "](",
        repeat(bytes("N"), 50_000),
        "e",
        0x85,
        "q\x00",
        repeat(bytes(op.global("a.b"), "h\x00R"), 2000),
      ),
    ],
    ["marks without end", repeat(bytes("("), 4_000_000)],
  ];
  test.each(cases)("%s", (_name, value) => {
    expect(() => read(value)).toThrow(/bytes of memory/);
  });

  test("a tower of lists, each holding the one before twice, is as small as its opcodes", () => {
    const levels = bytes("]", ...Array.from({ length: 200 }, () => bytes("q\x00h\x00", 0x86)));
    expect(read(levels)).toBeArrayOfSize(2);
  });
});
