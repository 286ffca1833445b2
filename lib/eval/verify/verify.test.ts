import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  UFFB_TAP_FINAL,
  UFFB_TAP_LAYER,
  UFFB_TAP_PATH,
  UFFB_TAP_PATH_LOGITS,
} from "../../../ffi/bindings.ts";
import { NativeContext } from "../../../ffi/context.ts";
import { isas } from "../../../ffi/engine.ts";
import { CancelledError } from "../../../ffi/status.ts";
import { NativeTaps } from "../../../ffi/taps.ts";
import { REFERENCE, TemporaryFolder, type Tensors, writePlain } from "../../../testing/folders.ts";
import { largestMagnitude } from "../../base/statistics.ts";
import { openSafetensors } from "../../files/safetensors/safetensors.ts";
import { type Model, openModel } from "../../model/model.ts";
import { ragged } from "../../text/batches.ts";
import { openExpected } from "./expected.ts";
import { type Report, verify } from "./verify.ts";

const FOLDERS = readdirSync(REFERENCE);
const THREADS = [1, 2, 7];
const expectedOf = (name: string) => join(REFERENCE, name, "expected.safetensors");
const tensorsOf = (name: string): Tensors => new Map(openSafetensors(expectedOf(name)));

test("there are reference folders and instruction sets to try", () => {
  expect(FOLDERS.length).toBeGreaterThan(0);
  expect(isas()).toContain("generic");
});

describe.each(FOLDERS)("%s", (name) => {
  test.each(isas())("agrees to 1e-5, paths and all, with 1, 2 and 7 threads: %s", async (isa) => {
    using model = await openModel(join(REFERENCE, name));
    for (const threads of THREADS) {
      const verification = await verify(model, expectedOf(name), { isa, threads });
      expect(verification).toMatchObject({ passed: true, isa, threads, tolerance: 1e-5 });
      const stages = verification.tensors.map((report) => report.name);
      expect(stages).toContain("embedding");
      expect(stages).toContain("layer.1");
      expect(stages).toContain("final");
      expect(stages).toContain("logits");
      expect(stages.includes("path.1")).toBe(tensorsOf(name).has("path.1"));
      for (const report of verification.tensors) {
        expect(report).toMatchObject({ passed: true, skipped: 0 });
        expect(report.compared).toBeGreaterThan(0);
        if (report.maxError === undefined) expect(report).toMatchObject({ differ: 0, nearTies: 0 });
      }
    }
  });

  test.each(isas())("is the same to the bit whatever threads and batches: %s", async (isa) => {
    using model = await openModel(join(REFERENCE, name));
    const sequences = [...openExpected(expectedOf(name), model).sequences].map(({ ids }) => ids);
    const all = sequences.map((_, s) => s);
    const first = await run(model, sequences, [all], { isa, threads: 1 });
    for (const threads of THREADS) {
      for (const batches of [[all], all.map((s) => [s]), [all.toReversed()], [[...all, ...all, ...all]]]) {
        expect(await run(model, sequences, batches, { isa, threads })).toEqual(first);
      }
    }
  });
});

/** The final states and head outputs of each sequence, in hexadecimal, from batches of the given composition. */
async function run(
  model: Model,
  sequences: readonly Int32Array[],
  batches: readonly number[][],
  options: { isa: string; threads: number },
): Promise<string[]> {
  using context = new NativeContext(model.native, options);
  const { hidden, vocab, labels } = model.config.arch;
  const found: string[] = [];
  for (const batch of batches) {
    const packed = ragged(batch.map((s) => ({ ids: sequences[s]! })));
    const tokens = packed.ids.length;
    const states = new Float32Array(tokens * hidden);
    using taps = new NativeTaps();
    taps.add(UFFB_TAP_FINAL, 0, states);
    await context.encode(packed, taps);
    const mlm = model.config.task === "mlm";
    const heads = mlm
      ? await context.mlmLogits(Array.from({ length: tokens }, (_, i) => i))
      : await context.classify();
    batch.forEach((s, at) => {
      const [start, end] = [Number(packed.offsets[at]), Number(packed.offsets[at + 1])];
      const logits = mlm
        ? heads.subarray(start * vocab, end * vocab)
        : heads.subarray(at * labels, (at + 1) * labels);
      const bytes = hex(states.subarray(start * hidden, end * hidden)) + hex(logits);
      found[s] ??= bytes;
      expect(bytes === found[s]).toBe(true);
    });
  }
  return found;
}

const hex = (values: Float32Array) =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex");

test("the size of its batches changes nothing", async () => {
  using model = await openModel(join(REFERENCE, "fff-3x2"));
  const whole = await verify(model, expectedOf("fff-3x2"));
  expect(await verify(model, expectedOf("fff-3x2"), { batchTokens: 1 })).toEqual(whole);
});

test("a signal stops it", async () => {
  using model = await openModel(join(REFERENCE, "fff-3x2"));
  const controller = new AbortController();
  const running = verify(model, expectedOf("fff-3x2"), { signal: controller.signal });
  controller.abort();
  await expect(running).rejects.toThrow(CancelledError);
});

describe("what differs is found", () => {
  const check = async (change: (tensors: Tensors) => void, name = "fff-1x5") => {
    using folder = new TemporaryFolder();
    using model = await openModel(join(REFERENCE, name));
    const tensors = tensorsOf(name);
    change(tensors);
    writePlain(folder.file("expected.safetensors"), tensors);
    return await verify(model, folder.file("expected.safetensors"));
  };
  const failed = (tensors: readonly Report[]) =>
    tensors.filter(({ passed }) => !passed).map(({ name }) => name);

  test.each(["embedding", "layer.0", "layer.1", "final", "logits"])("one number of %s", async (name) => {
    const { passed, tensors } = await check((all) =>
      edit(all, name, (values) => {
        values[5]! += 1e-4 * Math.max(...values);
      }),
    );
    expect([passed, failed(tensors)]).toEqual([false, [name]]);
    const { maxError } = tensors.find((report) => report.name === name)!;
    expect(maxError).toBeGreaterThan(5e-5); // the largest number may be a padded one
    expect(maxError).toBeLessThan(5e-4);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("%p", async (value) => {
    const { passed, tensors } = await check((all) =>
      edit(all, "layer.0", (values) => {
        values[0] = value;
      }),
    );
    expect([passed, failed(tensors)]).toEqual([false, ["layer.0"]]);
    expect(tensors.find(({ name }) => name === "layer.0")!.maxError).toBe(Number.POSITIVE_INFINITY);
  });

  test("a node of a path, and an impossible path", async () => {
    for (const node of [7, 1e9, -1]) {
      const { passed, tensors } = await check((all) => {
        const path = integers(all, "path.1");
        path[3] = BigInt(node);
      });
      expect([passed, failed(tensors)]).toEqual([false, ["path.1"]]);
      expect(tensors.find(({ name }) => name === "path.1")).toMatchObject({ differ: 1, nearTies: 0 });
    }
  });

  test("but nothing beyond the mask", async () => {
    const mask = integers(tensorsOf("fff-1x5"), "attention_mask");
    const padded = mask.indexOf(0n);
    expect(padded).toBeGreaterThan(0);
    const { passed } = await check((all) => {
      edit(all, "layer.0", (values) => values.fill(Number.NaN, padded * 64, (padded + 1) * 64));
      integers(all, "input_ids")[padded] = 1n << 40n;
    });
    expect(passed).toBe(true);
  });

  test("a file with nothing to compare does not pass", async () => {
    const { passed, tensors, ignored } = await check((all) => {
      for (const name of [...all.keys()]) if (name !== "input_ids" && name !== "labels") all.delete(name);
    });
    expect([passed, tensors, ignored]).toEqual([false, [], ["labels"]]);
  });

  test("nor does one whose mask leaves no token", async () => {
    const { passed, sequences } = await check((all) => void integers(all, "attention_mask").fill(0n));
    expect([passed, sequences]).toEqual([false, 0]);
  });
});

describe("files that are not sound, or another model's", () => {
  const cases: [string, (tensors: Tensors) => void, string][] = [
    ["no input", (all) => all.delete("input_ids"), "no tensor input_ids, so there is nothing to run"],
    [
      "input of one dimension",
      (all) => reshape(all, "input_ids", [51]),
      "input_ids has shape [51], and [batch, seq]",
    ],
    [
      "a mask of another shape",
      (all) => reshape(all, "attention_mask", [17, 3]),
      "attention_mask has shape [17, 3]",
    ],
    [
      "padding on the left",
      (all) => void integers(all, "attention_mask").fill(0n, 0, 1),
      "is not ones and then zeros",
    ],
    ["a mask of twos", (all) => void integers(all, "attention_mask").fill(2n), "is not ones and then zeros"],
    ["a foreign id", (all) => void integers(all, "input_ids").fill(512n, 1, 2), "input_ids row 0 holds 512"],
    ["a negative id", (all) => void integers(all, "input_ids").fill(-1n, 1, 2), "input_ids row 0 holds -1"],
    ["a stage of another width", (all) => reshape(all, "final", [3, 34, 32]), "final has shape [3, 34, 32]"],
    ["more layers", (all) => all.set("layer.2", all.get("layer.1")!), "layer.2 is not a stage of"],
    [
      "a dtype without numbers",
      (all) => {
        all.set("final", { ...all.get("final")!, dtype: "U32" });
      },
      "final is U32",
    ],
  ];
  test.each(cases)("%s", async (_, change, message) => {
    using folder = new TemporaryFolder();
    using model = await openModel(join(REFERENCE, "fff-1x5"));
    const tensors = tensorsOf("fff-1x5");
    change(tensors);
    writePlain(folder.file("bad.safetensors"), tensors);
    await expect(verify(model, folder.file("bad.safetensors"))).rejects.toThrow(message);
  });

  test("paths of a model without trees", async () => {
    using model = await openModel(join(REFERENCE, "dense-ff"));
    await expect(verify(model, expectedOf("fff-1x5"))).rejects.toThrow("path.0 is not a stage of");
  });
});

describe("near-ties", () => {
  /**
   * A reference that our own engine computes, on a model whose root logit of token 2 of the second sequence is 0 in one layer, and in
   * which that token goes the other way there. What follows from it is filled with nonsense, as another leaf's output would be.
   */
  async function tied(folder: TemporaryFolder, layer: number, size: number) {
    const name = "fff-1x5";
    const model = await openModel(join(REFERENCE, name));
    const tensors = tensorsOf(name);
    const sequences = [...openExpected(expectedOf(name), model).sequences];
    const { hidden, depth, vocab } = model.config.arch;
    const levels = depth + 1;
    const [s, t] = [1, 2];
    const packed = ragged(sequences);
    const token = Number(packed.offsets[s]) + t;

    // Path logits are largest logits; shift the root's bias so that the token's logit is `size` of the largest one.
    const before = await tapLogits(model, packed, layer);
    const row = before.subarray(token * levels, (token + 1) * levels);
    const largest = largestMagnitude(row.slice(1));
    const bias = `encoder.layers.${layer}.ffn.linear_in.bias`;
    const changed: Tensors = new Map(openSafetensors(join(REFERENCE, name, "model.safetensors")));
    edit(changed, bias, (values) => {
      values[0]! += size * largest - row[0]!;
    });
    writePlain(folder.file("model.safetensors"), changed);
    await Bun.write(folder.file("config.json"), Bun.file(join(REFERENCE, name, "config.json")));
    model[Symbol.dispose]();

    const own = await openModel(folder.path);
    const rows = sequences.flatMap(({ first, ids }) => Array.from(ids, (_, i) => first + i));
    using context = new NativeContext(own.native);
    const states = Object.fromEntries(
      ["layer.0", "layer.1", "final"].map((stage) => [stage, new Float32Array(rows.length * hidden)]),
    );
    const paths = [0, 1].map(() => new Int32Array(rows.length * levels));
    using taps = new NativeTaps();
    taps.add(UFFB_TAP_LAYER, 0, states["layer.0"]!);
    taps.add(UFFB_TAP_LAYER, 1, states["layer.1"]!);
    taps.add(UFFB_TAP_FINAL, 0, states.final!);
    paths.forEach((path, l) => {
      taps.add(UFFB_TAP_PATH, l, path);
    });
    await context.encode(packed, taps);
    const logits = await context.mlmLogits(rows.map((_, i) => i));

    const nonsense = (stage: string, i: number) => {
      const mine = i === token;
      const sameSequence = i >= Number(packed.offsets[s]) && i < Number(packed.offsets[s + 1]);
      if (stage === "final" || stage === "logits") return mine || (sameSequence && layer === 0);
      const at = Number(stage.split(".")[1]);
      if (stage.startsWith("path.")) return sameSequence && at > layer;
      return (mine && at >= layer) || (sameSequence && at > layer);
    };
    for (const [stage, values, width] of [
      ["layer.0", states["layer.0"]!, hidden],
      ["layer.1", states["layer.1"]!, hidden],
      ["final", states.final!, hidden],
      ["logits", logits, vocab],
    ] as const) {
      edit(tensors, stage, (all) => {
        rows.forEach((r, i) => {
          const mine = values.subarray(i * width, (i + 1) * width);
          all.set(nonsense(stage, i) ? mine.map((value) => value + 1) : mine, r * width);
        });
      });
    }
    paths.forEach((path, l) => {
      const all = integers(tensors, `path.${l}`);
      rows.forEach((r, i) => {
        const mine = Array.from(path.subarray(i * levels, (i + 1) * levels), BigInt);
        // The other child, and from it always left: of the nodes below, nothing can be said.
        if (l === layer && i === token) {
          mine[1] = mine[1] === 1n ? 2n : 1n;
          for (let level = 2; level < levels; level++) mine[level] = 2n * mine[level - 1]! + 1n;
        } else if (nonsense(`path.${l}`, i)) mine.fill(7n);
        all.set(mine, r * levels);
      });
    });
    writePlain(folder.file("expected.safetensors"), tensors);
    const length = sequences[s]!.ids.length;
    return { own, file: folder.file("expected.safetensors"), length };
  }

  test.each([0, 1])(
    "are no failure: what follows a tie in layer %d is skipped, and counted",
    async (layer) => {
      using folder = new TemporaryFolder();
      const { own, file, length } = await tied(folder, layer, 2e-6);
      using _own = own;
      const { passed, tensors } = await verify(own, file);
      expect(passed).toBe(true);
      const skipped = Object.fromEntries(tensors.map((report) => [report.name, report.skipped]));
      const ties = Object.fromEntries(tensors.map((report) => [report.name, report.nearTies ?? 0]));
      expect(ties).toMatchObject({ "path.0": layer === 0 ? 1 : 0, "path.1": layer === 1 ? 1 : 0 });
      expect(skipped).toEqual(
        layer === 0
          ? {
              embedding: 0,
              "path.0": 0,
              "layer.0": 1,
              "path.1": length,
              "layer.1": length,
              final: length,
              logits: length,
            }
          : { embedding: 0, "path.0": 0, "layer.0": 0, "path.1": 0, "layer.1": 1, final: 1, logits: 1 },
      );
    },
  );

  test("but a logit that is further from 0 makes it one", async () => {
    using folder = new TemporaryFolder();
    const { own, file } = await tied(folder, 1, 1e-4);
    using _own = own;
    const { passed, tensors } = await verify(own, file);
    expect(passed).toBe(false);
    expect(tensors.find(({ name }) => name === "path.1")).toMatchObject({
      differ: 1,
      nearTies: 0,
      passed: false,
    });
  });

  async function tapLogits(
    model: Model,
    packed: ReturnType<typeof ragged>,
    layer: number,
  ): Promise<Float32Array> {
    using context = new NativeContext(model.native);
    const logits = new Float32Array(packed.ids.length * (model.config.arch.depth + 1));
    using taps = new NativeTaps();
    taps.add(UFFB_TAP_PATH_LOGITS, layer, logits);
    await context.encode(packed, taps);
    return logits;
  }
});

/** Changes the numbers of an F32 tensor. */
function edit(tensors: Tensors, name: string, change: (values: Float32Array) => void): void {
  const tensor = tensors.get(name)!;
  const values = new Float32Array(tensor.data.slice().buffer);
  change(values);
  tensors.set(name, { ...tensor, data: new Uint8Array(values.buffer) });
}

/** The numbers of an I64 tensor, to be changed in place. */
function integers(tensors: Tensors, name: string): BigInt64Array {
  const tensor = tensors.get(name)!;
  const values = new BigInt64Array(tensor.data.slice().buffer);
  tensors.set(name, { ...tensor, data: new Uint8Array(values.buffer) });
  return values;
}

function reshape(tensors: Tensors, name: string, shape: number[]): void {
  tensors.set(name, { ...tensors.get(name)!, shape });
}
