import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { REFERENCE, reference, TemporaryFolder, type Tensors, writeModel } from "../../testing/folders.ts";
import { legacyPickle, transposedPickle, zipPickle } from "../../testing/pickles.ts";

const MAIN = fileURLToPath(new URL("../../cmd/main.ts", import.meta.url));
const MB = 1e6;

/** A model of `layers` layers whose largest tensor has 4 MB, without a decoder of its own. */
function model(layers: number): { config: unknown; tensors: Tensors; largest: number; total: number } {
  const { config, tensors: small } = reference("fff-1x5");
  const [hidden, vocab, depth] = [256, 4096, 10];
  config.arch.hidden_size = hidden;
  config.arch.embedding.embedding_dim = hidden;
  config.arch.embedding.vocab_size = vocab;
  config.arch.num_transformer_layers = layers;
  config.arch.intermed_depth = depth;
  config.arch.loss = undefined;
  const scale = (size: number) => {
    if (size === 512) return vocab;
    return size === 63 ? 2 ** (depth + 1) - 1 : (size * hidden) / 64;
  };
  const numbers = new Float32Array(vocab * hidden).map((_, i) => ((i * 7919) % 1999) / 1e4 - 0.1);
  const tensors: Tensors = new Map();
  for (const [name, { dtype, shape }] of small) {
    if (name === "decoder.weight" || name.includes(".1.")) continue;
    const sizes = shape.map((size) => (size === 1 ? 1 : scale(size)));
    const count = sizes.reduce((product, size) => product * size, 1);
    const data = new Uint8Array(numbers.buffer, 0, 4 * count);
    for (let layer = 0; layer < (name.includes(".0.") ? layers : 1); layer++)
      tensors.set(name.replace(".0.", `.${layer}.`), { dtype, shape: sizes, data });
  }
  const bytes = [...tensors.values()].map(({ data }) => data.length);
  return {
    config,
    tensors,
    largest: Math.max(...bytes),
    total: bytes.reduce((sum, size) => sum + size, 0),
  };
}

/** The most anonymous memory of `uffb convert` at any moment that was looked at, in bytes. */
async function peakAnonymous(...line: string[]): Promise<number> {
  const child = Bun.spawn([process.execPath, MAIN, "convert", ...line], { stdout: "ignore", stderr: "pipe" });
  let peak = 0;
  while (child.exitCode === null) {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      peak = Math.max(peak, 1024 * Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0));
    } catch {
      // It ended just now.
    }
    await Bun.sleep(1);
  }
  expect([await child.exited, await new Response(child.stderr).text()]).toEqual([0, expect.any(String)]);
  return peak;
}

// Far below the rule, 1.3 times the largest tensor and 200 MB, and far below the model: garbage of the model's size would show.
test.skipIf(process.platform !== "linux")(
  "memory follows neither the model's size nor its format",
  async () => {
    using folder = new TemporaryFolder();
    const { config, tensors, largest, total } = model(12);
    expect(total).toBeGreaterThan(60 * MB);
    const out = folder.file("out");
    const bare = await peakAnonymous(`${REFERENCE}fff-1x5`, "-o", out);
    writeModel(folder, { config, tensors });
    const path = folder.file("model.safetensors");
    const bin = folder.file("bin");
    mkdirSync(bin);
    writeFileSync(`${bin}/config.json`, JSON.stringify(config));
    const allowed = bare + 1.3 * largest + 20 * MB;
    for (const to of ["packed", "safetensors"] as const) {
      expect(await peakAnonymous(path, "-o", out, "--to", to)).toBeLessThan(allowed);
    }
    expect(await peakAnonymous(path, "-o", out, "--dtype", "int8")).toBeLessThan(allowed);
    for (const make of [zipPickle, legacyPickle, transposedPickle]) {
      writeFileSync(`${bin}/pytorch_model.bin`, make(tensors));
      expect(await peakAnonymous(bin, "-o", out)).toBeLessThan(allowed);
      rmSync(out);
    }
  },
  30_000,
);
