import { describe, expect, test } from "bun:test";
import {
  type Arch,
  UFFB_COLUMNS,
  UFFB_F16,
  UFFB_F32,
  UFFB_FFN_FFF,
  UFFB_GELU,
  UFFB_HEAD_CLASS,
  UFFB_HEAD_MLM,
  UFFB_PANELS,
  UFFB_POOL_FIRST,
  UFFB_PRE_NORM,
  UFFB_ROWS,
  UFFB_SINUSOIDAL,
  UFFB_TANH,
  UFFB_TAP_EMBEDDING,
  UFFB_TAP_FINAL,
  UFFB_TAP_LAYER,
  UFFB_TAP_PATH,
} from "./bindings.ts";
import { type Batch, NativeContext } from "./context.ts";
import { isas } from "./engine.ts";
import { convertMatrix, matrixBytes } from "./matrix.ts";
import { NativeModel } from "./model.ts";
import { PLAIN } from "./plain.ts";
import { CancelledError, EngineError, InvalidError, UnsupportedError } from "./status.ts";
import { NativeTaps } from "./taps.ts";

const ARCH: Arch = {
  layers: 2,
  hidden: 8,
  heads: 2,
  vocab: 20,
  maxLength: 16,
  positionOffset: 0,
  tokenTypes: 0,
  width: 0,
  trees: 2,
  depth: 4,
  poolWidth: 0,
  labels: 3,
  normEps: 1e-12,
  normPosition: UFFB_PRE_NORM,
  positions: UFFB_SINUSOIDAL,
  feedforward: UFFB_FFN_FFF,
  activation: UFFB_GELU,
  poolActivation: UFFB_TANH,
  pooling: UFFB_POOL_FIRST,
  ...PLAIN,
  embedNorm: 1,
  finalNorm: 1,
  headsPresent: UFFB_HEAD_MLM | UFFB_HEAD_CLASS,
  mlmTransform: 0,
  tied: 1,
  treeOutput: 0,
};

function modelOf(changes: Partial<Arch> = {}): NativeModel {
  const model = new NativeModel({ ...ARCH, ...changes });
  let seed = 7;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648 - 0.5;
  };
  for (const { name, rows, cols } of model.tensors()) {
    model.set(name, Float32Array.from({ length: rows * cols }, random), UFFB_F32, UFFB_ROWS);
  }
  model.ready();
  return model;
}

function batchOf(...lengths: number[]): Batch {
  const offsets = [0n];
  for (const length of lengths) offsets.push(offsets.at(-1)! + BigInt(length));
  const ids = Int32Array.from({ length: Number(offsets.at(-1)) }, (_, i) => (i * 7) % ARCH.vocab);
  return { offsets: BigInt64Array.from(offsets), ids };
}

describe("NativeModel", () => {
  test("names the impossible field", () => {
    expect(() => new NativeModel({ ...ARCH, heads: 3 })).toThrow(InvalidError);
    expect(() => new NativeModel({ ...ARCH, heads: 3 })).toThrow("heads");
    expect(() => new NativeModel({ ...ARCH, headSize: 5 })).toThrow("head_size 5 are more than hidden, 8");
    for (const layerHeads of [Int32Array.of(1), Int32Array.of(1, 2, 1)])
      expect(() => new NativeModel({ ...ARCH, layerHeads })).toThrow("numbers for 2 layers");
    expect(() => new NativeModel({ ...ARCH, layerHeads: Int32Array.of(1, 3) })).toThrow("of layer 1 is 3");
  });

  test("lists its tensors with names, shapes and layouts", () => {
    using model = new NativeModel(ARCH);
    const tensors = new Map(model.tensors().map((tensor) => [tensor.name, tensor]));
    expect(tensors.get("embed.word")).toEqual({
      name: "embed.word",
      rows: 20,
      cols: 8,
      layout: UFFB_PANELS,
      required: true,
      present: false,
    });
    expect(tensors.get("layer.1.fff.in.weight")).toMatchObject({ rows: 2 * 31, cols: 8 });
    using fewer = new NativeModel({ ...ARCH, headSize: 3, layerHeads: Int32Array.of(2, 1) });
    const attention = fewer.tensors().filter(({ name }) => /attn\.(qkv|out)\.weight$/.test(name));
    expect(attention.map(({ rows, cols }) => [rows, cols])).toEqual([
      [18, 8],
      [8, 6],
      [9, 8],
      [8, 3],
    ]);
    model.set("embed.word", new Float32Array(160), UFFB_F32, UFFB_ROWS);
    expect(model.tensors().find(({ name }) => name === "embed.word")?.present).toBe(true);
  });

  test("refuses tensors that do not fit, and names the first that is missing", () => {
    using model = new NativeModel(ARCH);
    expect(() => model.set("embed.word", new Float32Array(159), UFFB_F32, UFFB_ROWS)).toThrow(InvalidError);
    expect(() => model.set("no.such", new Float32Array(8), UFFB_F32, UFFB_ROWS)).toThrow("no.such");
    expect(() => model.set("embed.word", new Float32Array(160), 77, UFFB_ROWS)).toThrow(InvalidError);
    expect(() => model.ready()).toThrow("embed.word");
    expect(() => new NativeContext(model)).toThrow(InvalidError);
  });
});

describe("NativeContext", () => {
  test("encodes a ragged batch, and no other sequence changes a result", async () => {
    using model = modelOf();
    using context = new NativeContext(model, { threads: 2 });
    expect(context.threads).toBe(2);
    expect(isas()).toContain(context.isa);
    const batch = batchOf(3, 5, 1);
    await context.encode(batch);
    const labels = await context.classify();
    expect(labels).toHaveLength(9);
    const { ids, probabilities } = await context.mlmTopK([8, 0], 4);
    const logits = await context.mlmLogits([8]);
    expect(ids[0]).toBe(logits.indexOf(Math.max(...logits)));
    expect([...probabilities.subarray(0, 4)]).toEqual(
      [...probabilities.subarray(0, 4)].sort((a, b) => b - a),
    );
    expect(await context.mlmLogits([])).toHaveLength(0);

    await context.encode({ offsets: BigInt64Array.of(0n, 5n), ids: batch.ids.subarray(3, 8) });
    expect([...(await context.classify())]).toEqual([...labels.subarray(3, 6)]);
    expect((await context.pool("mean")).length).toBe(8);
  });

  test("fills taps", async () => {
    using model = modelOf();
    using context = new NativeContext(model);
    using taps = new NativeTaps();
    const states = new Map([0, 1].map((layer) => [layer, new Float32Array(4 * 8)]));
    const embedding = new Float32Array(4 * 8);
    const final = new Float32Array(4 * 8);
    const path = new Int32Array(4 * 2 * 5).fill(-1);
    taps.add(UFFB_TAP_EMBEDDING, 0, embedding);
    for (const [layer, buffer] of states) taps.add(UFFB_TAP_LAYER, layer, buffer);
    taps.add(UFFB_TAP_FINAL, 0, final);
    taps.add(UFFB_TAP_PATH, 1, path);
    await context.encode(batchOf(4), taps);
    for (const buffer of [embedding, ...states.values(), final])
      expect(buffer.some((x) => x !== 0)).toBe(true);
    for (let at = 0; at < path.length; at += 5) {
      expect(path[at]).toBe(0);
      for (let level = 1; level < 5; level++) {
        expect([1, 2]).toContain(path[at + level]! - 2 * path[at + level - 1]!);
      }
    }
    await expect(context.encode(batchOf(5), taps)).rejects.toThrow(InvalidError);
    expect(() => taps.add(UFFB_TAP_PATH, 0, new Float32Array(40))).toThrow("Int32Array");
    expect(() => taps.add(UFFB_TAP_FINAL, 0, new Int32Array(32))).toThrow("Float32Array");
  });

  test("refuses what it cannot do with the engine's message", async () => {
    using model = modelOf();
    expect(() => new NativeContext(model, { isa: "mmx" })).toThrow(UnsupportedError);
    expect(() => new NativeContext(model, { isa: "mmx" })).toThrow("generic");
    using context = new NativeContext(model);
    await expect(context.classify()).rejects.toThrow(InvalidError);
    const { offsets, ids } = batchOf(3, 5);
    const wrong: Batch[] = [
      { offsets, ids: ids.subarray(1) },
      { offsets, ids: new Int32Array(9) },
      { offsets: new BigInt64Array(0), ids: new Int32Array(0) },
      { offsets: new BigInt64Array(1), ids: new Int32Array(0) },
      { offsets: BigInt64Array.of(1n, 8n), ids },
      { offsets: BigInt64Array.of(0n, 9n, 8n), ids },
      { offsets: BigInt64Array.of(0n, -(2n ** 63n), 8n), ids },
      { offsets, ids, types: new Int32Array(7) },
      { offsets, ids: ids.with(2, 20) },
      { offsets, ids: ids.with(2, -1) },
      batchOf(17),
    ];
    for (const batch of wrong) {
      await context.encode(batchOf(2));
      await expect(context.encode(batch)).rejects.toThrow(InvalidError);
    }
    await expect(context.encode({ offsets, ids: ids.with(2, 20) })).rejects.toThrow("20");
    await expect(context.classify()).rejects.toThrow(InvalidError);
    await context.encode(batchOf(2));
    for (const position of [-1, 2, 0.5, Number.NaN, 2 ** 60]) {
      await expect(context.mlmLogits([position])).rejects.toThrow(InvalidError);
    }
    for (const k of [0, 21, 1.5, -1]) await expect(context.mlmTopK([0], k)).rejects.toThrow(InvalidError);
  });

  test("runs one call at a time and says so", async () => {
    using model = modelOf();
    using context = new NativeContext(model);
    const calls = [context.encode(batchOf(3)), context.pool("mean"), context.encode(batchOf(2))];
    const [first, ...others] = await Promise.allSettled(calls);
    expect(first!.status).toBe("fulfilled");
    for (const other of others) {
      const { reason } = other as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(EngineError);
      expect(reason.message).toContain("one call at a time");
    }
    expect(await context.pool("mean")).toHaveLength(8);
  });

  test("several contexts over one model run at once", async () => {
    using model = modelOf();
    const contexts = Array.from({ length: 4 }, () => new NativeContext(model, { threads: 1 }));
    await Promise.all(contexts.map((context) => context.encode(batchOf(3, 5))));
    const results = await Promise.all(contexts.map((context) => context.classify()));
    for (const result of results) expect([...result]).toEqual([...results[0]!]);
    for (const context of contexts) context[Symbol.dispose]();
  });

  test("cancels the running or the next call", async () => {
    using model = modelOf();
    using context = new NativeContext(model);
    context.cancel();
    const error = await context.encode(batchOf(3)).catch((reason) => reason);
    expect(error).toBeInstanceOf(CancelledError);
    await expect(context.classify()).rejects.toThrow(InvalidError);
    await context.encode(batchOf(3));
    expect(await context.classify()).toHaveLength(3);
  });
});

describe("after dispose", () => {
  test("every use is an error, and disposing twice is not", async () => {
    const model = modelOf();
    const context = new NativeContext(model);
    const taps = new NativeTaps();
    for (const resource of [taps, context, model, taps, context, model]) resource[Symbol.dispose]();
    expect(() => taps.add(UFFB_TAP_FINAL, 0, new Float32Array(8))).toThrow("NativeTaps was used after");
    await expect(context.encode(batchOf(1))).rejects.toThrow("NativeContext was used after");
    await expect(context.pool("max")).rejects.toThrow("NativeContext was used after");
    expect(() => new NativeContext(model)).toThrow("NativeModel was used after");
    for (const use of [() => model.tensors(), () => model.ready()])
      expect(use).toThrow("NativeModel was used");
    context.cancel();
  });

  test("a model lives on for its contexts, and a context for its call", async () => {
    const model = modelOf();
    const context = new NativeContext(model);
    model[Symbol.dispose]();
    await context.encode(batchOf(4));
    expect(await context.classify()).toHaveLength(3);
    const taps = new NativeTaps();
    const running = context.encode(batchOf(...Array(200).fill(16)), taps).catch((reason) => reason);
    taps[Symbol.dispose]();
    context[Symbol.dispose]();
    const error = await running;
    if (error !== undefined) expect(error).toBeInstanceOf(CancelledError);
    await expect(context.classify()).rejects.toThrow("used after");
  });
});

describe("convertMatrix", () => {
  test("gives back what it was given, bit by bit", () => {
    const rows = 19;
    const cols = 5;
    const data = Float32Array.from({ length: rows * cols }, (_, i) => Math.sin(i) * 10 ** ((i % 40) - 20));
    for (const layout of [UFFB_ROWS, UFFB_COLUMNS, UFFB_PANELS]) {
      const from = { dtype: UFFB_F32, layout: UFFB_ROWS };
      const to = { dtype: UFFB_F32, layout };
      const there = convertMatrix(rows, cols, data, from, to);
      expect(there.byteLength).toBe(layout === UFFB_PANELS ? 32 * cols * 4 : rows * cols * 4);
      const back = convertMatrix(rows, cols, there, to, from);
      expect(Buffer.from(back).equals(Buffer.from(data.buffer))).toBe(true);
    }
    expect(matrixBytes(rows, cols, { dtype: UFFB_F16, layout: UFFB_ROWS })).toBe(rows * cols * 2);
  });

  test("refuses sizes that are none", () => {
    const form = { dtype: UFFB_F32, layout: UFFB_ROWS };
    for (const [rows, cols] of [
      [-1, 4],
      [0, 4],
      [2 ** 40, 2 ** 40],
      [4, 0],
    ] as const) {
      expect(() => matrixBytes(rows, cols, form)).toThrow(InvalidError);
    }
    expect(() => convertMatrix(2, 3, new Float32Array(5), form, form)).toThrow(InvalidError);
  });
});
