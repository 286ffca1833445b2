import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type CudaDtype, CudaEncoder } from "../../ffi/cuda.ts";
import { useCuda } from "../../ffi/cuda-library.ts";
import { hasSimulator, useSimulator } from "../../testing/cuda.ts";
import { CudaStubs, koffi } from "../../testing/cuda-stub.ts";
import { REFERENCE, REFERENCE_BERT } from "../../testing/folders.ts";
import { difference } from "../bench/encoder/device.ts";
import { type Run, run } from "../eval/glue/run.ts";
import { type Model, openModel } from "../model/model.ts";
import { openDevice } from "./device.ts";
import { type InferOptions, infer, type Result } from "./infer.ts";

const IDS = [[5, 6, 7, 8], [9], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [2, 7], [1, 8, 2]].map((ids) =>
  Int32Array.from(ids),
);

async function results(model: Model, options: InferOptions): Promise<Result[]> {
  async function* items() {
    for (const [i, ids] of IDS.entries()) yield { line: i + 1, text: "", ids };
  }
  const all: Result[] = [];
  for await (const batch of infer(model, items(), { batchTokens: 6, threads: 1, ...options }))
    all.push(...batch.filter((result) => "task" in result));
  return all;
}

const vectorsOf = (all: readonly Result[]) =>
  Float32Array.from(all.flatMap((result) => (result.task === "embed" ? [...result.vector] : [])));

/** Rounding of the dtype, in two layers. */
const TOLERANCES: [CudaDtype, number][] = [
  ["f32", 1e-5],
  ["f16", 3e-3],
  ["bf16", 2e-2],
];

describe("where memory is short", () => {
  using stubs = new CudaStubs();
  const [none, little] = ["-DFAIL=UFFB_NO_MEMORY", "-DENCODE=UFFB_NO_MEMORY"].map((flag) =>
    stubs.bind(64, flag),
  );
  const device = { index: 0, name: "First", dtype: "f32" } as const;
  afterAll(() => useCuda(undefined));

  test("for a model, or for a batch, the error says what to do", async () => {
    using model = await openModel(`${REFERENCE}dense-ff`);
    useCuda(none);
    await expect(results(model, { embed: true, device })).rejects.toThrow(
      "the line of the thread; choose --device-dtype bf16, a device with more memory, or none",
    );
    useCuda(little);
    for (const result of await results(model, { embed: true, device })) {
      const error = "the line of the encoder; give a smaller --batch-tokens, or --device-dtype bf16";
      expect(result as unknown).toEqual({ line: expect.any(Number), error });
    }
  });
});

describe.skipIf(!hasSimulator)("on a device", () => {
  if (hasSimulator) {
    beforeAll(useSimulator);
    afterAll(() => useCuda(undefined));
  }

  for (const [folder, name] of [
    [REFERENCE, "fff-1x5"],
    [REFERENCE, "dense-ff"],
  ] as const) {
    for (const [dtype, tolerance] of TOLERANCES) {
      test(`${name} gives in ${dtype} the vectors that it gives on the CPU`, async () => {
        using model = await openModel(folder + name);
        const device = openDevice("cuda:0", dtype)!;
        const own = vectorsOf(await results(model, { embed: true }));
        const there = vectorsOf(await results(model, { embed: true, device }));
        expect(difference(there, own, model.config.arch.hidden)).toBeLessThan(tolerance);
      });
    }
  }

  test("masks are filled, and classes found, by the heads of the CPU", async () => {
    const device = openDevice("cuda", "f32")!;
    using model = await openModel();
    const masks = async (options: InferOptions) =>
      (await results(model, { maskId: 5, topK: 3, ...options })).map(
        (result) => result.task === "fill-mask" && result.masks.map(({ top }) => top.map(({ id }) => id)),
      );
    expect(await masks({ device })).toEqual(await masks({}));
    using classifier = await openModel(`${REFERENCE}cls-2`);
    const [own, there] = [await results(classifier, {}), await results(classifier, { device })];
    for (const [i, result] of there.entries()) {
      const other = own[i]!;
      if (result.task !== "classify" || other.task !== "classify") throw new Error("not classified");
      expect(result.label).toBe(other.label);
      expect(result.probability).toBeCloseTo(other.probability, 4);
    }
  });

  test("GLUE runs there too, padded or not, and says where", async () => {
    using model = await openModel(`${REFERENCE}cls-2`);
    const device = openDevice("cuda", "f32")!;
    const inputs = IDS.map((ids) => ({ ids }));
    const own = await run(model, inputs, { threads: 1 });
    const there: Run[] = [];
    for (const options of [{}, { batchTokens: 5 }])
      there.push(await run(model, inputs, { threads: 1, device, ...options }));
    for (const { logits, device: where } of there) {
      expect(difference(logits, own.logits, 2)).toBeLessThan(1e-4);
      expect(where).toBe(device);
    }
    expect(own.device).toBeUndefined();
  });

  test("a model that an engine of another build made is refused", async () => {
    using model = await openModel(`${REFERENCE}dense-ff`);
    koffi.encode(model.native.handle, "uint64_t", 1); // its first member names the build
    expect(() => new CudaEncoder(model.native, 0, "f32")).toThrow(
      "the engine and the CUDA library are of different builds; run npm run build",
    );
  });

  test("BERT's learned positions and types are the same", async () => {
    using model = await openModel(`${REFERENCE_BERT}bert-cls`);
    const device = openDevice("cuda", "f32")!;
    const own = vectorsOf(await results(model, { embed: true }));
    const there = vectorsOf(await results(model, { embed: true, device }));
    expect(difference(there, own, model.config.arch.hidden)).toBeLessThan(1e-5);
  });
});
