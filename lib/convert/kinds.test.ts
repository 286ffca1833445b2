import { expect, test } from "bun:test";
import { UFFB_PANELS, UFFB_POST_NORM, UFFB_PRE_NORM, UFFB_ROWS } from "../../ffi/bindings.ts";
import { kindOf, type WeightDtype } from "./kinds.ts";

const pre = { normPosition: UFFB_PRE_NORM };
const matrix = (name: string, layout: number, cols = 64) => ({ name, rows: 64, cols, layout });

test.each([
  ["layer.0.attn.qkv.weight", UFFB_PANELS, "I16"],
  ["layer.1.attn.out.weight", UFFB_PANELS, "I16"],
  ["layer.2.attn.qkv.weight", UFFB_PANELS, "I8"],
  ["layer.0.ffn.in.weight", UFFB_PANELS, "I8"],
  ["layer.3.fff.in.weight", UFFB_ROWS, "BF16"],
  ["layer.3.fff.in.weight", UFFB_PANELS, "I8"],
  ["embed.word", UFFB_PANELS, "I8"],
  ["embed.word", UFFB_ROWS, "F16"],
  ["embed.word.rows", UFFB_ROWS, "F16"],
  ["embed.position", UFFB_ROWS, "F16"],
  ["embed.type", UFFB_ROWS, "F32"],
  ["head.mlm.dense.weight", UFFB_PANELS, "I16"],
  ["head.mlm.decoder.weight", UFFB_PANELS, "I8"],
  ["head.class.weight", UFFB_PANELS, "I16"],
] as const)("in a model in 8 bits, %s in layout %d is stored as %s", (name, layout, kind) => {
  expect(kindOf(matrix(name, layout), "I8", pre)).toBe(kind);
});

test("what 8 bits cannot hold stays f32", () => {
  const name = "layer.2.attn.qkv.weight";
  expect(kindOf(matrix(name, UFFB_PANELS, 65_536), "I8", pre)).toBe("I8");
  expect(kindOf(matrix(name, UFFB_PANELS, 65_537), "I8", pre)).toBe("F32");
  expect(kindOf(matrix(name, UFFB_PANELS), "I8", pre, false)).toBe("F32");
  expect(kindOf(matrix("embed.word", UFFB_ROWS), "I8", pre, false)).toBe("F32");
  expect(kindOf({ ...matrix(name, UFFB_PANELS), rows: 1 }, "I8", pre)).toBe("F32");
});

test.each([
  ["layer.0.attn.qkv.weight", UFFB_PANELS, "I8"],
  ["embed.word", UFFB_ROWS, "I8"],
  ["embed.position", UFFB_ROWS, "I8"],
  ["embed.type", UFFB_ROWS, "F32"],
] as const)(
  "what comes first in a post-norm model is as good as the rest: %s in layout %d is %s",
  (name, layout, kind) => {
    expect(kindOf(matrix(name, layout), "I8", { normPosition: UFFB_POST_NORM })).toBe(kind);
  },
);

test.each<WeightDtype>(["F32", "F16", "BF16"])(
  "a model in %s has all its matrices so, and vectors in F32",
  (dtype) => {
    for (const layout of [UFFB_ROWS, UFFB_PANELS]) {
      expect(kindOf(matrix("layer.0.fff.in.weight", layout), dtype, pre)).toBe(dtype);
      expect(kindOf({ ...matrix("layer.0.norm1.weight", layout), rows: 1 }, dtype, pre)).toBe("F32");
    }
  },
);
