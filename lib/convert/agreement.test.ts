/** What narrower weights change for masked words of text that nothing was fitted to: sentences of Wikipedia from QNLI's dev set. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { NativeContext } from "../../ffi/context.ts";
import { pack, TemporaryFolder } from "../../testing/folders.ts";
import { openModel } from "../model/model.ts";
import { ragged } from "../text/batches.ts";

const TEXTS = fileURLToPath(new URL("../../../shared/data/glue/QNLI/dev.tsv", import.meta.url));
const BUILTIN = fileURLToPath(new URL("../../fixtures/model/model-tiny.uffb.safetensors", import.meta.url));
const MASKS = 2500;
const BATCH = 32;

/** Sentences, every seventh token or so masked, and which ones are. */
async function maskedSentences(): Promise<{ ids: Int32Array; masks: number[] }[]> {
  using model = await openModel();
  const tokenizer = model.tokenizer();
  const specials = Object.values(tokenizer.specials).map((special) => special.id);
  const sentences: { ids: Int32Array; masks: number[] }[] = [];
  let random = 1;
  let count = 0;
  for (const line of readFileSync(TEXTS, "utf8").split("\n").slice(1)) {
    const { ids } = tokenizer.encode(line.split("\t")[2] ?? "", { maxLength: 128 });
    const masks: number[] = [];
    ids.forEach((id, at) => {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
      if (random / 2 ** 32 > 0.15 || specials.includes(id)) return;
      ids[at] = tokenizer.specials.mask!.id;
      masks.push(at);
    });
    sentences.push({ ids, masks });
    count += masks.length;
    if (count >= MASKS) break;
  }
  return sentences;
}

/** The best token for each mask. */
async function bestTokens(path: string, sentences: Awaited<ReturnType<typeof maskedSentences>>) {
  using model = await openModel(path);
  using context = new NativeContext(model.native);
  const best: number[] = [];
  for (let start = 0; start < sentences.length; start += BATCH) {
    const part = sentences.slice(start, start + BATCH);
    const batch = ragged(part);
    await context.encode(batch);
    const rows = part.flatMap(({ masks }, s) => masks.map((at) => Number(batch.offsets[s]) + at));
    best.push(...(await context.mlmTopK(rows, 1)).ids);
  }
  return best;
}

// 8 bits everywhere keep 97.3%.
test.skipIf(!existsSync(TEXTS)).each(["I8", "BF16"] as const)(
  "%s keeps the best token of 99%% of masks",
  async (dtype) => {
    using folder = new TemporaryFolder();
    const path = folder.file("packed");
    await pack(BUILTIN, path, dtype);
    const sentences = await maskedSentences();
    const exact = await bestTokens(BUILTIN, sentences);
    const narrow = await bestTokens(path, sentences);
    expect(exact.length).toBeGreaterThanOrEqual(MASKS);
    const same = exact.filter((id, i) => id === narrow[i]).length;
    expect(same / exact.length).toBeGreaterThan(0.99);
    expect(same).toBeLessThan(exact.length);
  },
  180_000,
);
