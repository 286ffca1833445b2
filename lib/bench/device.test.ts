import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type CudaDtype, cudaDevice } from "../../ffi/cuda.ts";
import { cudaContenders } from "../../ffi/cuda-bench.ts";
import { useCuda } from "../../ffi/cuda-library.ts";
import { record } from "../../testing/bench-record.ts";
import { hasSimulator, useSimulator } from "../../testing/cuda.ts";
import { CudaStubs } from "../../testing/cuda-stub.ts";
import { measureDeviceLayer } from "./device/layer.ts";
import { checkDeviceMemory, type DeviceLayerCase } from "./device/parts.ts";
import { measureEncoder } from "./encoder/encoder.ts";
import { encoderArch, randomModel } from "./encoder/random-model.ts";
import { type DeviceFacts, describeMachine } from "./measure/machine.ts";
import { toTable } from "./report/table.ts";

function facts(): DeviceFacts {
  const device = { ...cudaDevice(0), l2: 4096 };
  const machine = { ...describeMachine(), device };
  return { machine, device, version: "0", commit: null, date: "2026-01-01" };
}

const small: DeviceLayerCase = {
  shape: { hidden: 32, trees: 1, depth: 4, width: 0 },
  batch: 5,
  dtype: "f32",
  cache: "warm",
  paths: "uniform",
  seconds: 0,
};

describe.skipIf(!hasSimulator)("on a device", () => {
  if (hasSimulator) {
    beforeAll(useSimulator);
    afterAll(() => useCuda(undefined));
  }

  test.each(["f32", "f16", "bf16"] as const)(
    "a layer in %s has a record for each contender, and is held against the fastest dense one",
    async (dtype: CudaDtype) => {
      const records = await measureDeviceLayer({ ...small, dtype }, facts(), () => {});
      const { cublas, name } = cudaDevice(0);
      const fits = cudaContenders().filter(
        (one) => one.dtypes.includes(dtype) && (!one.library || cublas !== ""),
      );
      const fff = records.filter(({ trees }) => trees > 0);
      expect(fff.map(({ contender }) => contender)).toEqual(
        fits.filter((one) => one.fff).map((one) => one.name),
      );
      expect(fff.length).toBeGreaterThan(0);
      const widths = new Set(records.filter(({ trees }) => trees === 0).map(({ width }) => width));
      expect([...widths]).toEqual([64, 128]); // 31 neurons, padded, and 4 x 32
      const fastest = Math.min(
        ...records
          .filter((one) => one.trees === 0 && one.dtype === dtype)
          .map(({ seconds_per_token }) => seconds_per_token),
      );
      for (const one of records) {
        expect([one.device, one.threads, one.isa, one.cache]).toEqual([name, null, null, "warm"]);
        expect(one.samples.length).toBeGreaterThanOrEqual(5);
        expect(one.error).toBeLessThan(0.05);
        if (one.trees === 0) expect(one.speedup_fastest_dense).toBeNull();
        else expect(one.speedup_fastest_dense).toBeCloseTo(fastest / one.seconds_per_token, 9);
      }
    },
  );

  test("copies that the cache does not hold are rotated, and real paths come from a model", async () => {
    using model = randomModel({ ...encoderArch(small.shape, 2), vocab: 64, maxLength: 8 }, "f32");
    const input = Float32Array.from({ length: 3 * 32 }, (_, i) => Math.sin(i));
    const paths = { model, layer: 1, input, name: "real (layer 1)" };
    const one = { ...small, batch: 2, cache: "rotated" as const, paths };
    const records = await measureDeviceLayer(one, facts(), () => {});
    for (const { cache, paths, trees, error } of records) {
      expect([cache, paths]).toEqual(["rotated", "real (layer 1)"]);
      if (trees > 0) expect(error).toBeLessThan(1e-5);
    }
  });

  test("an encoder is timed in each dtype, against the dense one of its own", async () => {
    const models = [0, 128].map((width) => {
      const shape = { hidden: 32, trees: width > 0 ? 0 : 1, depth: width > 0 ? 0 : 3, width };
      return randomModel({ ...encoderArch(shape, 1), vocab: 64, maxLength: 8 }, "f32");
    });
    const runners = models.flatMap((model) =>
      (["f32", "bf16"] as const).map((dtype) => {
        const dense = model.arch.trees === 0;
        return { name: dense ? "dense" : "fff", model, dtype, dense, trained: false };
      }),
    );
    const one = { runners, batch: 2, length: 4, threads: 0, seconds: 0 };
    const records = await measureEncoder(one, facts(), () => {});
    expect(records.map(({ contender, padded }) => [contender, padded])).toEqual(
      ["fff f32", "fff bf16", "dense f32", "dense bf16"].flatMap((name) => [
        [name, false],
        [name, true],
      ]),
    );
    for (const {
      contender,
      dtype,
      padded,
      error,
      speedup_fastest_dense: speedup,
      latency_p50: time,
    } of records) {
      const dense = records.find((other) => other.contender === `dense ${dtype}` && other.padded === padded)!;
      expect(error).toBeLessThan(dtype === "f32" ? 1e-4 : 0.2);
      if (contender.startsWith("dense")) expect(speedup).toBeNull();
      else expect(speedup).toBeCloseTo(dense.latency_p50 / time, 9);
    }
    for (const model of models) model[Symbol.dispose]();
  });
});

describe("what is wrong is not timed", () => {
  using stubs = new CudaStubs();
  const library = stubs.bind(32);
  beforeAll(() => useCuda(library));
  afterAll(() => useCuda(undefined));

  test("a contender", async () => {
    await expect(measureDeviceLayer(small, facts(), () => {})).rejects.toThrow(
      "dense wrong (f32) is wrong by 1.0e+0 and was not timed",
    );
  });

  test("an encoder", async () => {
    const shape = { hidden: 32, trees: 1, depth: 3, width: 0 };
    using model = randomModel({ ...encoderArch(shape, 1), vocab: 64, maxLength: 8 }, "f32");
    const runners = [{ name: "fff", model, dtype: "bf16" as const, dense: false, trained: false }];
    const one = { runners, batch: 1, length: 8, threads: 0, seconds: 0 };
    await expect(measureEncoder(one, facts(), () => {})).rejects.toThrow(
      /^fff in bf16 on First is wrong by \d.* and was not timed$/,
    );
  });

  test("and what does not fit is not begun", () => {
    expect(() =>
      checkDeviceMemory({ ...small, batch: 7 }, { ...facts(), device: { ...cudaDevice(0), memory: 3e10 } }),
    ).toThrow("1x4 at batch 7 needs 37.0 GB, and First has 30.0 GB; use a smaller --batch or shape");
    expect(() => checkDeviceMemory(small, facts())).not.toThrow();
  });
});

test("tables name the dtype", () => {
  const peaks = { peak_flops: null, peak_memory_bytes_per_s: null, peak_l2_bytes_per_s: null };
  const on = { ...peaks, device: "A Card", threads: null, isa: null, share_of_bound: null };
  const dense = { trees: 0, depth: 0, width: 4096, shape: "dense 4096", speedup_fastest_dense: null };
  const records = (["bf16", "f32"] as const).flatMap((dtype) => [
    record({ ...on, dtype, contender: "fff ours" }),
    record({
      ...on,
      dtype: dtype === "f32" ? "tf32" : dtype,
      ...dense,
      contender: "dense",
      speedup_limit: null,
    }),
  ]);
  expect(toTable(records)).toContain("fff ours, bf16");
});
