import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { cpSync, existsSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { UsageError } from "../lib/base/errors.ts";
import { openModel } from "../lib/model/model.ts";
import { openDevice } from "../lib/run/device.ts";
import { CudaStubs, koffi } from "../testing/cuda-stub.ts";
import { TemporaryFolder } from "../testing/folders.ts";
import { CudaEncoder, cudaDevice, cudaDevices } from "./cuda.ts";
import { CudaBench, cudaBenchBytes, type DeviceShape } from "./cuda-bench.ts";
import { CudaContext } from "./cuda-context.ts";
import { bindCuda, useCuda } from "./cuda-library.ts";
import { EngineError, InvalidError, NoMemoryError, UnsupportedError } from "./status.ts";
import { NativeTaps } from "./taps.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const stubs = new CudaStubs();
afterAll(() => stubs[Symbol.dispose]());
afterEach(() => useCuda(undefined));

/** For the built-in model. */
const stub = (...flags: string[]) => stubs.bind(256, ...flags);

const BATCH = { offsets: BigInt64Array.of(0n, 2n, 3n), ids: Int32Array.of(5, 7, 1000) };
const SHAPE: DeviceShape = {
  hidden: 8,
  trees: 1,
  depth: 2,
  width: 0,
  batch: 1,
  inputs: 1,
  activation: 0,
  dtype: "f32",
  device: 0,
  cold: false,
};

describe("the CUDA library", () => {
  test("of another ABI version is refused with both versions", () => {
    expect(() => stub("-DVERSION=99")).toThrow(
      /has ABI version 99, and this uffb needs \d+; run npm run build/,
    );
  });

  test("that is another library is refused", () => {
    const path = stubs.compile("int other(void) { return 1; }");
    expect(() => bindCuda(koffi, path)).toThrow(".so is not uffb's CUDA library");
  });

  test("that is missing or damaged is an error that says what to do", () => {
    using folder = new TemporaryFolder();
    const copy = folder.path;
    for (const part of ["ffi", "lib/base", "build/libuffb.so"])
      cpSync(join(root, part), join(copy, part), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    writeFileSync(
      join(copy, "main.ts"),
      'import { cudaDevices } from "./ffi/cuda.ts"; try { cudaDevices() } catch (e) { console.log(String(e)) }',
    );
    const run = () => Bun.spawnSync([process.execPath, "main.ts"], { cwd: copy }).stdout.toString();
    expect(run()).toBe(
      "UffbError: this uffb was built without CUDA; build it where nvcc, the compiler of the CUDA toolkit, is: npm run build\n",
    );
    writeFileSync(join(copy, "build/libuffb_cuda.so"), "no library");
    expect(run()).toMatch(/^UffbError: .*libuffb_cuda\.so cannot be loaded \(.+\); run npm run build\n$/);
  });
});

describe("devices", () => {
  test("are listed, and chosen by number", () => {
    useCuda(stub());
    expect(cudaDevices().map(({ index, name, memory }) => [index, name, memory])).toEqual([
      [0, "First", 80e9],
      [1, "Second", 80e9],
    ]);
    expect(openDevice("cpu", undefined)).toBeUndefined();
    expect(openDevice(undefined, undefined)).toBeUndefined();
    expect(openDevice("cuda", undefined)).toEqual({ index: 0, name: "First", dtype: "f32" });
    expect(openDevice("cuda:1", "bf16")).toEqual({ index: 1, name: "Second", dtype: "bf16" });
  });

  test("that are not there are named", () => {
    useCuda(stub());
    expect(() => cudaDevice(2)).toThrow("there is no device cuda:2, cuda:0 to cuda:1");
    useCuda(stub("-DDEVICES=1"));
    expect(() => cudaDevice(1)).toThrow("there is no device cuda:1, only cuda:0");
    useCuda(stub("-DDEVICES=0"));
    expect(() => cudaDevice(0)).toThrow("no CUDA device found");
    useCuda(stub("-DDEVICES=0", "-DFAIL=UFFB_UNSUPPORTED"));
    expect(() => cudaDevice(0)).toThrow(UnsupportedError);
    expect(() => cudaDevices()).toThrow("the line of the thread");
  });

  test.each(["gpu", "cuda:", "cuda:-1", "cuda:1.5", "cuda:99999", "CUDA", ""])(
    "%p is not a device",
    (text) => {
      expect(() => openDevice(text, undefined)).toThrow(UsageError);
    },
  );

  test("a dtype needs one", () => {
    expect(() => openDevice("cpu", "f16")).toThrow("--device-dtype is for --device cuda");
  });
});

describe("an encoder on a device", () => {
  test("leaves its states to the heads of the CPU", async () => {
    useCuda(stub());
    using model = await openModel();
    using context = new CudaContext(model.native, 0, "f16", { threads: 1 });
    await context.encode(BATCH);
    expect(await context.pool("max")).toEqual(
      Float32Array.from({ length: 512 }, (_, i) => (i < 256 ? 7 : 1000)),
    );
    await expect(context.encode(BATCH, new NativeTaps())).rejects.toThrow("a device fills no taps");
    await expect(context.encode({ ...BATCH, offsets: BigInt64Array.of(0n, 2n) })).rejects.toThrow(
      InvalidError,
    );
  });

  test("runs one call at a time, heads included, and says so", async () => {
    useCuda(stub());
    using model = await openModel();
    using context = new CudaContext(model.native, 0, "f32", { threads: 1 });
    const one = { offsets: BigInt64Array.of(0n, 1n), ids: Int32Array.of(9) };
    await context.encode(one);
    const calls = [context.encode(BATCH), context.encode(one), context.pool("max")];
    const [first, ...others] = await Promise.allSettled(calls);
    expect(first!.status).toBe("fulfilled");
    for (const other of others) {
      const { reason } = other as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(EngineError);
      expect(reason.message).toContain("one call at a time");
    }
    expect((await context.pool("max")).length).toBe(512);
    const encoder = new CudaEncoder(model.native, 0, "f32");
    const running = encoder.encode(one);
    await expect(encoder.encode(one)).rejects.toThrow("one batch at a time");
    await running;
    await encoder.encode(one);
    encoder[Symbol.dispose]();
  });

  test("tells its time, and is not used after its end", async () => {
    useCuda(stub());
    using model = await openModel();
    const encoder = new CudaEncoder(model.native, 1, "f32");
    const running = encoder.encode(BATCH);
    expect(encoder.seconds).toBe(0.25);
    encoder[Symbol.dispose]();
    expect((await running).subarray(0, 1)).toEqual(Float32Array.of(5));
    await expect(encoder.encode(BATCH)).rejects.toThrow("CudaEncoder was used after it was disposed of");
  });

  test("gives the line of what failed, on whichever thread", async () => {
    using model = await openModel();
    useCuda(stub("-DFAIL=UFFB_NO_MEMORY"));
    expect(() => new CudaContext(model.native, 0, "f32")).toThrow(NoMemoryError);
    expect(() => new CudaEncoder(model.native, 0, "f32")).toThrow("the line of the thread");
    useCuda(stub("-DENCODE=UFFB_NO_MEMORY"));
    using context = new CudaContext(model.native, 0, "f32");
    const failure = context.encode(BATCH);
    await expect(failure).rejects.toThrow(NoMemoryError);
    await expect(failure).rejects.toThrow("the line of the encoder");
    await expect(context.mlmTopK([0], 1)).rejects.toThrow("position 0 is not a token of the batch");
  });
});

test("a bench that is impossible, or too large, says so", () => {
  useCuda(stub("-DFAIL=UFFB_NO_MEMORY"));
  expect(() => cudaBenchBytes({ ...SHAPE, hidden: 0 })).toThrow(InvalidError);
  expect(() => new CudaBench(SHAPE)).toThrow("the line of the thread");
});

const BUILT = `${root}build/libuffb_cuda.so`;
const hasDriver = existsSync("/dev/nvidiactl");

test.skipIf(!existsSync(BUILT) || hasDriver)(
  "the real library, on a machine without a driver, says so",
  () => {
    expect(() => openDevice("cuda", undefined)).toThrow(EngineError);
    expect(() => openDevice("cuda", undefined)).toThrow(/driver/);
  },
);

test.skipIf(!existsSync(BUILT) || !hasDriver)("the real library knows this machine's devices", () => {
  for (const { name, memory, capability } of cudaDevices()) {
    expect(name).not.toBe("");
    expect(memory).toBeGreaterThan(1e9);
    expect(capability).toBeGreaterThanOrEqual(30);
  }
});
