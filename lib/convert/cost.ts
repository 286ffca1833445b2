import { join } from "node:path";
import { NativeContext } from "../../ffi/context.ts";
import { FolderBeside } from "../base/write.ts";
import { type Checkpoint, openCheckpoint } from "../files/checkpoint.ts";
import { type Model, openModel } from "../model/model.ts";
import { encodePaths } from "../run/paths.ts";
import { type Prepared, prepare } from "../run/prepare.ts";
import { group, ragged } from "../text/batches.ts";
import { MASKED_SENTENCES, PLAIN_SENTENCES } from "../text/sample.ts";
import { type ConvertOptions, convertModel } from "./convert.ts";

/** What a model's narrower weights change, on the built-in sentences. */
export interface Cost {
  sentences: number;
  tokens: number;
  /** By layer, the share of the tokens' paths (one a tree) that visit another node; [] without trees. */
  paths: number[];
  /** Absolute error of logits (of masks or labels) or of pooled vectors; `largest` is the largest magnitude of these. */
  error: { of: "logits" | "vectors"; max: number; rms: number; largest: number };
  /** Number of answers (a mask's best token, a text's best label), and how many stay the same. Scores and vectors are not counted. */
  answers: number;
  same: number;
}

/** Sentences at once: the logits of their masks are some 3 MB for a large vocabulary. */
const BATCH = 8;

/**
 * Measures the error of `output`, a packed file, against the checkpoint it was made of. Both run from f32 or 8-bit files that the engine
 * uses in place. Where there is no such file, a temporary one is written beside the output: widening the weights in memory would take as
 * much as the whole model.
 *
 * @throws UffbError when the model has no tokenizer; system errors when there is no room
 */
export async function costOf(
  checkpoint: Checkpoint,
  output: string,
  { dtype, ignoreUnknown = false }: ConvertOptions,
): Promise<Cost> {
  using folder = new FolderBeside(output);
  const widen = async (source: Checkpoint, name: string) => {
    const path = join(folder.path, name);
    await convertModel(source, path, { to: "packed", dtype: "F32", ignoreUnknown });
    return path;
  };
  using exact = await openModel(await widen(checkpoint, "exact"));
  using narrow = await openModel(dtype === "I8" ? output : await widen(openCheckpoint(output), "narrow"));
  return await measureCost(exact, narrow);
}

/**
 * Runs the built-in sentences through a model with its weights in f32 and through the same with narrower ones.
 *
 * @throws UffbError when the model has no tokenizer
 */
async function measureCost(exact: Model, narrow: Model): Promise<Cost> {
  using first = new NativeContext(exact.native);
  using second = new NativeContext(narrow.native);
  const { layers } = exact.config.arch;
  const sentences = await prepareSentences(exact);
  let tokens = 0;
  let answers = 0;
  let same = 0;
  let [squares, count, max, largest] = [0, 0, 0, 0];
  const changed = new Array<number>(layers).fill(0);
  let paths = 0;
  for (const batch of group(sentences, { weight: () => 1, budget: BATCH })) {
    const a = await run(exact, first, batch);
    const b = await run(narrow, second, batch);
    for (const { ids } of batch) tokens += ids.length;
    a.paths.forEach((nodes, layer) => {
      changed[layer]! += differentRows(nodes, b.paths[layer]!, exact.config.arch.depth + 1);
    });
    paths += (a.paths[0]?.length ?? 0) / (exact.config.arch.depth + 1);
    for (let i = 0; i < a.logits.length; i++) {
      const error = Math.abs(a.logits[i]! - b.logits[i]!);
      max = Math.max(max, error);
      squares += error * error;
      largest = Math.max(largest, Math.abs(a.logits[i]!));
    }
    count += a.logits.length;
    if (a.width === 1 || ["embedding", "other", "multi-label"].includes(exact.config.task)) continue;
    for (let row = 0; row < a.logits.length; row += a.width) {
      answers++;
      if (best(a.logits, row, a.width) === best(b.logits, row, a.width)) same++;
    }
  }
  return {
    sentences: sentences.length,
    tokens,
    paths: paths === 0 ? [] : changed.map((number) => number / paths),
    error: {
      of: ["embedding", "other"].includes(exact.config.task) ? "vectors" : "logits",
      max,
      rms: Math.sqrt(squares / count),
      largest,
    },
    answers,
    same,
  };
}

async function prepareSentences(model: Model): Promise<Prepared[]> {
  const fill = model.config.task === "mlm";
  async function* items() {
    for (const [i, text] of (fill ? MASKED_SENTENCES : PLAIN_SENTENCES).entries())
      yield { line: i + 1, text };
  }
  const sentences: Prepared[] = [];
  for await (const item of prepare(model, items(), { fill, truncate: true, maskId: undefined })) {
    if ("ids" in item) sentences.push(item);
  }
  return sentences;
}

/** Paths [tokens, trees, depth + 1] by layer, and logits [masks or sentences, width]. */
async function run(model: Model, context: NativeContext, sentences: readonly Prepared[]) {
  const { arch, task } = model.config;
  const batch = ragged(sentences);
  const paths = await encodePaths(context, arch, batch);
  if (task === "embedding" || task === "other")
    return { paths, logits: await context.pool("mean"), width: arch.hidden };
  if (task === "tokens") return { paths, logits: await context.classifyTokens(), width: arch.labels };
  if (task !== "mlm") return { paths, logits: await context.classify(), width: arch.labels };
  const masks = sentences.flatMap((sentence, s) =>
    sentence.masks.map((row) => Number(batch.offsets[s]) + row),
  );
  return { paths, logits: await context.mlmLogits(masks), width: arch.vocab };
}

function differentRows(a: Int32Array, b: Int32Array, width: number): number {
  let rows = 0;
  for (let row = 0; row < a.length; row += width) {
    for (let i = row; i < row + width; i++) {
      if (a[i] === b[i]) continue;
      rows++;
      break;
    }
  }
  return rows;
}

function best(values: Float32Array, start: number, width: number): number {
  let at = start;
  for (let i = start + 1; i < start + width; i++) if (values[i]! > values[at]!) at = i;
  return at - start;
}
