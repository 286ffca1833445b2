import { describe, expect, test } from "bun:test";
import { UFFB_COLUMNS, UFFB_HEAD_CLASS, UFFB_HEAD_MLM, UFFB_PANELS, UFFB_ROWS } from "../../ffi/bindings.ts";
import { type Json, reference, TemporaryFolder, type Tensors, writeModel } from "../../testing/folders.ts";
import { UffbError } from "../base/errors.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { loadConfig } from "./config.ts";
import { bindTensors } from "./roles.ts";

const EMBEDDING = "encoder.embedding.word_embedding.weight";

/** Binds a reference model after a change. */
function bound(name: string, change: (tensors: Tensors, config: Json) => void = () => {}) {
  using folder = new TemporaryFolder();
  const { config, tensors } = reference(name);
  change(tensors, config);
  const checkpoint = openCheckpoint(writeModel(folder, { config, tensors }));
  const result = bindTensors(loadConfig(checkpoint), checkpoint);
  result.native[Symbol.dispose]();
  const byEngine = new Map(result.bindings.map((binding) => [binding.wanted.name, binding]));
  return { ...result, byEngine };
}

function refused(name: string, change: (tensors: Tensors, config: Json) => void, ...messages: string[]) {
  expect(() => bound(name, change)).toThrow(UffbError);
  for (const message of messages) expect(() => bound(name, change)).toThrow(message);
}

const f32 = (shape: number[]) => ({
  dtype: "F32",
  shape,
  data: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
});

test("gives every tensor its place", () => {
  const { byEngine, config } = bound("fff-1x5");
  expect(config).toMatchObject({ task: "mlm", labels: [], arch: { headsPresent: UFFB_HEAD_MLM, tied: 1 } });
  expect(byEngine.size).toBe(5 + 2 * 10 + 1);
  expect(byEngine.get("layer.1.attn.qkv.weight")!.name).toBe(
    "encoder.layers.1.attn.self_attention.query_key_value.weight",
  );
  expect(byEngine.get("embed.word")!.wanted.layout).toBe(UFFB_PANELS);
});

test("reads a tree's output weights as columns only where nodes are rows", () => {
  const deep = bound("fff-1x5").byEngine.get("layer.0.fff.out.weight")!;
  expect([deep.wanted.rows, deep.wanted.cols, deep.layout]).toEqual([63, 64, UFFB_COLUMNS]);
  const shallow = bound("fff-3x2").byEngine.get("layer.0.fff.out.weight")!;
  expect([shallow.wanted.rows, shallow.wanted.cols, shallow.layout]).toEqual([48, 21, UFFB_ROWS]);
});

test("takes the labels from the tensors", () => {
  const three = (tensors: Tensors, config: Json) => {
    tensors.set("head.weight", f32([3, 64]));
    tensors.set("head.bias", f32([3]));
    config.id2label = { "0": "no", "2": "yes" };
  };
  const { config } = bound("cls-2", three);
  expect(config).toMatchObject({
    task: "classification",
    arch: { labels: 3, headsPresent: UFFB_HEAD_CLASS, tied: 0 },
  });
  expect(config.labels).toEqual(["no", "LABEL_1", "yes"]);
  expect(bound("cls-reg").config).toMatchObject({ task: "regression", arch: { labels: 1 } });
});

test("strips what wrappers add to names, and ignores buffers", () => {
  const wrap = (tensors: Tensors) => {
    const all = [...tensors];
    tensors.clear();
    for (const [name, tensor] of all) {
      tensors.set(`_orig_mod.module.${name.replace("encoder.layers", "encoder._orig_mod.layers")}`, tensor);
    }
    tensors.set("module.encoder.embedding.pos_embedding.position_ids", {
      ...f32([1, 256]),
      dtype: "I64",
      shape: [1, 128],
    });
  };
  expect(bound("fff-1x5", wrap).bindings.map(({ wanted }) => wanted.name)).toEqual(
    bound("fff-1x5").bindings.map(({ wanted }) => wanted.name),
  );
  refused(
    "cls-2",
    (tensors) => tensors.set("module.head.bias", f32([2])),
    "head.bias and module.head.bias are the same",
  );
});

describe("the decoder", () => {
  const tied = (change: (tensors: Tensors, config: Json) => void) => {
    const { config, byEngine } = bound("fff-1x5", change);
    expect(byEngine.has("head.mlm.decoder.weight")).toBe(config.arch.tied === 0);
    return config.arch.tied === 1;
  };
  test("is tied when its bits are the embedding's, or one of the two was left out", () => {
    expect(tied(() => {})).toBe(true);
    expect(tied((tensors) => tensors.delete("decoder.weight"))).toBe(true);
    expect(tied((tensors) => tensors.delete(EMBEDDING))).toBe(true);
  });
  test("is not tied when one bit differs", () => {
    const flip = (tensors: Tensors) => {
      const decoder = tensors.get("decoder.weight")!;
      const data = decoder.data.slice();
      data[data.length - 4]! ^= 1;
      tensors.set("decoder.weight", { ...decoder, data });
    };
    expect(tied(flip)).toBe(false);
  });
  test("is missed where the config says it is not tied", () => {
    const untie = (tensors: Tensors, config: Json) => {
      config.arch.tie_weights = false;
      tensors.delete("decoder.weight");
    };
    refused("fff-1x5", untie, "lacks the tensor decoder.weight");
  });
});

describe("refuses", () => {
  test("missing tensors, all by name", () => {
    const change = (tensors: Tensors) => {
      tensors.delete("encoder.final_norm.bias");
      tensors.delete("encoder.layers.1.ffn.linear_in.bias");
    };
    refused(
      "fff-1x5",
      change,
      "lacks the tensors encoder.layers.1.ffn.linear_in.bias, encoder.final_norm.bias;",
    );
    refused("cls-2", (tensors) => tensors.delete("head.bias"), "lacks the tensor head.bias");
    refused("cls-2", (tensors) => tensors.delete("head.weight"), "lacks the tensor head.weight");
  });

  test("unexpected tensors, all by name", () => {
    const change = (tensors: Tensors) => {
      tensors.set("encoder.layers.0.attn.dense.bias", f32([64]));
      tensors.set("extra\u001b[31m", f32([1]));
    };
    refused(
      "fff-1x5",
      change,
      'has the unexpected tensors encoder.layers.0.attn.dense.bias, "extra\\u001b[31m"',
    );
    refused(
      "dense-ff",
      (_, config) => (config.arch.num_transformer_layers = 1),
      "unexpected tensors encoder.layers.1.norm1",
    );
    refused(
      "cls-2",
      (tensors) => tensors.set("decoder.weight", f32([512, 64])),
      "unexpected tensor decoder.weight",
    );
  });

  test("another model's config", () => {
    const change = (_: Tensors, config: Json) => (config.arch.intermed_type = "ff");
    refused(
      "fff-1x5",
      change,
      "lacks the tensors encoder.layers.0.ffn.dense_in.weight",
      "unexpected tensors encoder.layers.0.ffn.linear_in",
    );
  });

  test("wrong shapes, with what was expected", () => {
    const norm = "encoder.layers.0.norm1.weight";
    refused(
      "fff-1x5",
      (tensors) => tensors.set(norm, f32([63])),
      `tensor ${norm} is F32 [63], but config.json asks for [64]`,
    );
    refused(
      "fff-1x5",
      (tensors) => tensors.set(norm, f32([64, 1])),
      `is F32 [64, 1], but config.json asks for [64]`,
    );
    const out = "encoder.layers.0.ffn.linear_out.weight";
    refused(
      "fff-1x5",
      (tensors) => tensors.set(out, f32([63, 64])),
      `is F32 [63, 64], but config.json asks for [64, 63]`,
    );
    refused(
      "fff-1x5",
      (_, config) => (config.arch.embedding.vocab_size = 500),
      `[512, 64], but config.json asks for [500, 64]`,
    );
    refused(
      "cls-2",
      (tensors) => tensors.set("head.weight", f32([3, 64])),
      "is F32 [3, 64], but config.json asks for [2, 64]",
    );
  });

  test("wrong dtypes", () => {
    const change = (tensors: Tensors) =>
      tensors.set("encoder.final_norm.bias", { dtype: "I64", shape: [64], data: new Uint8Array(512) });
    refused(
      "fff-1x5",
      change,
      "tensor encoder.final_norm.bias is I64 [64]; weights can be F32, F16, BF16, F64",
    );
  });
});

test("takes numbers and vectors with and without a leading 1", () => {
  const change = (tensors: Tensors) => {
    const scale = "encoder.embedding.pos_embedding.scale_factor";
    tensors.set(scale, { ...tensors.get(scale)!, shape: [] });
    const norm = "encoder.final_norm.weight";
    tensors.set(norm, { ...tensors.get(norm)!, shape: [1, 64] });
  };
  expect(bound("fff-1x5", change).byEngine.size).toBe(26);
});
