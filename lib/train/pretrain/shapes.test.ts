/** Every shape of feedforward layer is one everywhere: it is packed, summarised, quantised, benchmarked and written as its own folder. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NativeContext } from "../../../ffi/context.ts";
import { convertModel } from "../../convert/convert.ts";
import { summaryText } from "../../eval/inspect/report.ts";
import { summarize } from "../../eval/inspect/summary.ts";
import { openCheckpoint } from "../../files/checkpoint.ts";
import { newConfig } from "../../model/crammed-config.ts";
import { activeNeurons, parseFeedforward } from "../../model/families/feedforward.ts";
import { openModel } from "../../model/model.ts";
import { forwardFlops } from "../bound.ts";
import { saveModel } from "../save.ts";
import { newTrainer } from "./initial.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-shapes-"));
afterAll(() => rmSync(folder, { recursive: true }));

const HIDDEN = 32;
const batch = {
  offsets: BigInt64Array.of(0n, 5n, 16n),
  ids: Int32Array.from({ length: 16 }, (_, i) => i * 3),
};

async function states(path: string): Promise<Float32Array> {
  using model = await openModel(path);
  using context = new NativeContext(model.native, { threads: 1 });
  await context.encode(batch);
  return context.pool("mean");
}

describe.each([
  ["none", "none; a block ends with attention"],
  [
    "1x5:linear",
    "1 tree of depth 5 with 32 leaves, whose nodes put out their logits; a token uses 6 of 63 neurons",
  ],
  [
    "dense:24+2x4",
    "2 trees of depth 4 with 16 leaves each, beside a dense layer of 24; a token uses 34 of 86 neurons",
  ],
  [
    "dense:7+3x2:linear",
    "3 trees of depth 2 with 4 leaves each, whose nodes put out their logits, beside a dense layer of 7; a token uses 16 of 28 neurons",
  ],
  [
    "1x5:after",
    "1 tree of depth 5 with 32 leaves, the activation after their sum; a token uses 6 of 63 neurons",
  ],
  [
    "dense:7+2x2:after",
    "2 trees of depth 2 with 4 leaves each, the activation after their sum, beside a dense layer of 7; a token uses 13 of 21 neurons",
  ],
])("%s", (name, described) => {
  const feedforward = parseFeedforward(name);
  const shape = { feedforward, layers: 2, hidden: HIDDEN, heads: 2, vocab: 64, maxLength: 16 };
  const own = join(folder, name.replace(/\W/g, "-"));

  beforeAll(async () => {
    const { text, config } = newConfig(shape);
    using trainer = newTrainer(config, { seed: 3, init: "published", positionFactor: 0 });
    trainer.ready({ threads: 1 });
    mkdirSync(folder, { recursive: true });
    await saveModel(own, trainer, config, { "config.json": text });
  });

  test("comes back from a packed file bit by bit, and gives the same states", async () => {
    const packed = `${own}.uffb.safetensors`;
    await convertModel(openCheckpoint(own), packed, { to: "packed", dtype: "F32" });
    const expected = await states(own);
    expect(await states(packed)).toEqual(expected);
    await convertModel(openCheckpoint(packed), `${own}-back`, { to: "hf", dtype: "F32" });
    expect(openCheckpoint(`${own}-back`).tensors.size).toBe(openCheckpoint(own).tensors.size);
    expect(await states(`${own}-back`)).toEqual(expected);
    expect(JSON.parse(readFileSync(join(`${own}-back`, "config.json"), "utf8"))).toEqual(
      JSON.parse(readFileSync(join(own, "config.json"), "utf8")),
    );
  });

  test("is nearly the same in 8 bits", async () => {
    const packed = `${own}.int8.safetensors`;
    await convertModel(openCheckpoint(own), packed, { to: "packed", dtype: "I8" });
    const [expected, found] = [await states(own), await states(packed)];
    const largest = Math.max(...expected.map(Math.abs));
    expect(Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(0.1 * largest);
  });

  test("is summarised", async () => {
    const summary = await summarize(own);
    expect(summary.feedforward.used).toBe(activeNeurons(feedforward));
    expect(summaryText(summary)).toContain(described);
    // Each active neuron is a row in and a row out.
    const { arch } = newConfig(shape).config;
    const without = 8 * HIDDEN * HIDDEN + 4 * 16 * HIDDEN;
    expect(forwardFlops(arch, [16])).toBe(2 * 16 * (without + 4 * HIDDEN * activeNeurons(feedforward)));
  });

  test("is refused where config.json and tensors do not agree", async () => {
    const other = `${own}-other`;
    mkdirSync(other);
    const config = JSON.parse(readFileSync(join(own, "config.json"), "utf8"));
    config.arch.intermed_type = "ff";
    config.arch.intermed_size = 16;
    delete config.arch.intermed_dense;
    delete config.arch.intermed_linear;
    delete config.arch.intermed_after;
    writeFileSync(join(other, "config.json"), JSON.stringify(config));
    writeFileSync(join(other, "model.safetensors"), readFileSync(join(own, "model.safetensors")));
    await expect(openModel(other)).rejects.toThrow(/(lacks|has) the (unexpected )?tensors/);
  });
});
