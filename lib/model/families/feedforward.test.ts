/** Models of the library's families whose feedforward layers are others than theirs. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { UFFB_FFN_FFF, UFFB_TREES_LINEAR } from "../../../ffi/bindings.ts";
import {
  type Json,
  pack,
  REFERENCE_BERT,
  reference,
  TemporaryFolder,
  type Tensors,
  writeModel,
} from "../../../testing/folders.ts";
import { convertModel } from "../../convert/convert.ts";
import { verify } from "../../eval/verify/verify.ts";
import { openCheckpoint } from "../../files/checkpoint.ts";
import { openSafetensors, type StoredTensor } from "../../files/safetensors/safetensors.ts";
import { parseConfig } from "../config.ts";
import { openModel } from "../model.ts";

const FOLDERS = readdirSync(REFERENCE_BERT).filter((name) => !name.startsWith("modernbert"));
const DENSE = 16;

/** In the names of all families: what is before `.fff`, and which of the two linear layers it is. */
const FEEDFORWARD =
  /^(.*layer\.\d+|.*albert_layers\.0)\.(?:(intermediate\.dense|ffn\.lin1|ffn)|(output\.dense|ffn\.lin2|ffn_output))\.(weight|bias)$/;

type Held = Pick<StoredTensor, "dtype" | "shape" | "data">;

/** Rows `from` to `to` of a tensor. */
function rows({ dtype, shape: [count = 0, ...rest], data }: Held, from: number, to: number): Held {
  const bytes = data.length / count;
  return { dtype, shape: [to - from, ...rest], data: data.subarray(from * bytes, to * bytes) };
}

/** Columns `from` to `to` of an F32 matrix. */
function columns({ shape: [count = 0, width = 0], data }: Held, from: number, to: number): Held {
  const values = new Float32Array(data.slice().buffer);
  const parts = Array.from({ length: count }, (_, i) => values.subarray(i * width + from, i * width + to));
  const all = Float32Array.from(parts.flatMap((part) => [...part]));
  return { dtype: "F32", shape: [count, to - from], data: new Uint8Array(all.buffer) };
}

/**
 * The reference model with all but DENSE neurons of each layer as trees of one node: these are always visited, so that it computes the same.
 */
function withTrees(folder: TemporaryFolder, name: string): string {
  const { config, tensors } = reference(name, REFERENCE_BERT);
  const key = "hidden_dim" in config ? "hidden_dim" : "intermediate_size";
  const width: number = config[key];
  const own: Tensors = new Map();
  for (const [tensor, value] of tensors) {
    const [, layer, first, second, kind] = FEEDFORWARD.exec(tensor) ?? [];
    const isAttention = tensor.includes("attention.");
    if (layer === undefined || isAttention) own.set(tensor, value);
    else if (first !== undefined) {
      own.set(tensor, rows(value, 0, DENSE));
      own.set(`${layer}.fff.linear_in.${kind}`, rows(value, DENSE, width));
    } else if (second !== undefined && kind === "weight") {
      own.set(tensor, columns(value, 0, DENSE));
      own.set(`${layer}.fff.linear_out.weight`, columns(value, DENSE, width));
    } else own.set(tensor, value);
  }
  const feedforward = `dense:${DENSE}+${width - DENSE}x0`;
  return writeModel(folder, { config: { ...config, [key]: null, feedforward }, tensors: own });
}

describe.each(FOLDERS)("%s with most neurons as trees of one node", (name) => {
  test("computes what transformers does with its dense layer, packed or not, and converts back", async () => {
    using folder = new TemporaryFolder();
    const path = withTrees(folder, name);
    const expected = join(REFERENCE_BERT, name, "expected.safetensors");
    using model = await openModel(path);
    expect(model.config.arch).toMatchObject({ feedforward: UFFB_FFN_FFF, depth: 0, width: DENSE });
    const { passed, tensors } = await verify(model, expected, { threads: 1 });
    expect([passed, tensors.length > 3]).toEqual([true, true]);
    await pack(path, folder.file("packed"));
    using packed = await openModel(folder.file("packed"));
    expect((await verify(packed, expected)).passed).toBe(true);
    await convertModel(openCheckpoint(folder.file("packed")), folder.file("hf"), { to: "hf", dtype: "F32" });
    const before = openSafetensors(join(path, "model.safetensors"));
    const after = openSafetensors(join(folder.file("hf"), "model.safetensors"));
    const trees = [...before.keys()].filter((key) => key.includes(".fff."));
    expect(trees.length).toBeGreaterThanOrEqual(3);
    for (const key of trees) {
      expect([key, after.get(key)?.shape]).toEqual([key, before.get(key)!.shape]);
      expect([key, Buffer.compare(after.get(key)!.data, before.get(key)!.data)]).toEqual([key, 0]);
    }
  });
});

describe("the key feedforward", () => {
  const parsed = (change: Json, name = "bert-mlm") =>
    parseConfig(
      JSON.stringify({ ...reference(name, REFERENCE_BERT).config, intermediate_size: null, ...change }),
      "x/config.json",
    );

  test("names trees, a dense layer beside them, what their nodes put out, or none", () => {
    expect(parsed({ feedforward: "dense:192+8x6:linear" }).arch).toMatchObject({
      feedforward: UFFB_FFN_FFF,
      width: 192,
      trees: 8,
      depth: 6,
      treeOutput: UFFB_TREES_LINEAR,
    });
    expect(parsed({ feedforward: "none" }).arch).toMatchObject({ width: 0, trees: 0 });
    expect(parsed({ feedforward: null, intermediate_size: 7 }).arch).toMatchObject({ width: 7, trees: 0 });
  });

  test.each([
    [
      { feedforward: "8x6", intermediate_size: 256 },
      "intermediate_size is 256; feedforward is 8x6, beside which",
    ],
    [{ feedforward: "dense:256" }, 'feedforward is "dense:256"; supported: trees as in 8x6'],
    [{ feedforward: "glu:256" }, 'feedforward is "glu:256"; supported'],
    [{ feedforward: "8x6\n" }, 'feedforward is "8x6\\n"; supported'],
    [{ feedforward: "0x6" }, 'feedforward is "0x6"; supported'],
    [{ feedforward: 8 }, "feedforward is 8; supported"],
    [{ feedforward: { trees: 8 } }, 'feedforward is {"trees":8}; supported'],
    [{ feedforward: "1x25" }, 'feedforward is "1x25"; such trees have too many nodes'],
    [{ feedforward: "999999x24" }, 'feedforward is "999999x24"; such trees have too many nodes'],
  ])("refuses %j", (change, message) => {
    expect(() => parsed(change)).toThrow(`x/config.json: ${message}`);
  });

  test("is part of a model with other tensors", async () => {
    using folder = new TemporaryFolder();
    const { config, tensors } = reference("bert-mlm", REFERENCE_BERT);
    const shaped = { ...config, intermediate_size: null, feedforward: "8x2" };
    await expect(openModel(writeModel(folder, { config: shaped, tensors }))).rejects.toThrow(
      "lacks the tensors bert.encoder.layer.0.fff.linear_in.weight, ",
    );
  });
});
