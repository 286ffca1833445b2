import {
  UFFB_TAP_EMBEDDING,
  UFFB_TAP_FINAL,
  UFFB_TAP_LAYER,
  UFFB_TAP_PATH,
  UFFB_TAP_PATH_LOGITS,
} from "../../../ffi/bindings.ts";
import type { NativeContext } from "../../../ffi/context.ts";
import { NativeTaps } from "../../../ffi/taps.ts";
import type { Model } from "../../model/model.ts";
import { normaliseRows } from "../../run/normalise.ts";
import { vectorMaker } from "../../run/vectors.ts";
import { ragged } from "../../text/batches.ts";
import type { Paths, Values } from "./compare.ts";
import type { Sequence } from "./expected.ts";

/** The stages under comparison, by tensor name. */
export interface Comparisons {
  values: Map<string, Values>;
  paths: Map<string, Paths>;
}

/** Rows of MLM logits held at once: 64 of a large vocabulary are some 8 MB. */
const LOGIT_ROWS = 64;

/**
 * Runs some sequences and compares every stage of theirs.
 *
 * After a near-tie that went the other way, what follows is legitimately different and is skipped: the token's own output from that layer
 * on, and, because attention mixes tokens, the later layers of every token of its sequence, and its pooled outputs. Other sequences are
 * not touched.
 */
export async function compareBatch(
  model: Model,
  context: NativeContext,
  sequences: readonly Sequence[],
  { values, paths }: Comparisons,
): Promise<void> {
  const { arch, task } = model.config;
  const batch = ragged(sequences);
  const tokens = batch.ids.length;
  const { taps, floats, nodes } = tap(model, tokens, { values, paths });
  using _taps = taps;
  await context.encode(batch, taps);

  /** The token's row in the file, and its sequence in this batch. */
  const rows = sequences.flatMap(({ first, ids }) => Array.from(ids, (_, i) => first + i));
  const owners = sequences.flatMap(({ ids }, s) => Array.from(ids, () => s));
  /** The layer from which on a token cannot be compared. */
  const tokenEnd = new Array<number>(tokens).fill(Number.POSITIVE_INFINITY);
  const sequenceEnd = new Array<number>(sequences.length).fill(Number.POSITIVE_INFINITY);
  const compared = (token: number, layer: number) =>
    layer < tokenEnd[token]! && layer <= sequenceEnd[owners[token]!]!;

  const compareTokens = (name: string, layer: number) => {
    const stage = values.get(name);
    if (!stage) return;
    const { width } = stage.stage;
    const ours = floats.get(name)!;
    for (let token = 0; token < tokens; token++) {
      if (compared(token, layer))
        stage.compare(rows[token]!, ours.subarray(token * width, (token + 1) * width));
      else stage.skip();
    }
  };

  compareTokens("embedding", -1);
  for (let layer = 0; layer < arch.layers; layer++) {
    const path = paths.get(`path.${layer}`);
    if (path) {
      const { width } = path.stage;
      const logits = floats.get(`path.${layer}`)!;
      const ours = nodes.get(`path.${layer}`)!;
      const ties: number[] = [];
      for (let token = 0; token < tokens; token++) {
        const [start, end] = [token * width, (token + 1) * width];
        if (!compared(token, layer)) path.skip();
        else if (path.compare(rows[token]!, ours.subarray(start, end), logits.subarray(start, end)))
          ties.push(token);
      }
      for (const token of ties) {
        tokenEnd[token] = layer;
        sequenceEnd[owners[token]!] = layer;
      }
    }
    compareTokens(`layer.${layer}`, layer);
  }
  // The final norm and the MLM head see a token alone, so a tie in the last layer affects no other token.
  const last = arch.layers - 1;
  compareTokens("final", last);

  const logits = values.get("logits");
  if (logits && task === "mlm") {
    for (let start = 0; start < tokens; start += LOGIT_ROWS) {
      const positions = Array.from({ length: Math.min(LOGIT_ROWS, tokens - start) }, (_, i) => start + i);
      const ours = await context.mlmLogits(positions);
      positions.forEach((token, i) => {
        if (compared(token, last))
          logits.compare(rows[token]!, ours.subarray(i * arch.vocab, (i + 1) * arch.vocab));
        else logits.skip();
      });
    }
  }
  const comparePooled = (stage: Values | undefined, ours: Float32Array) => {
    if (!stage) return;
    const { width } = stage.stage;
    sequences.forEach(({ index }, s) => {
      if (sequenceEnd[s] === Number.POSITIVE_INFINITY)
        stage.compare(index, ours.subarray(s * width, (s + 1) * width));
      else stage.skip();
    });
  };
  if (logits && task === "tokens") {
    const ours = await context.classifyTokens();
    for (let token = 0; token < tokens; token++) {
      if (compared(token, last))
        logits.compare(rows[token]!, ours.subarray(token * arch.labels, (token + 1) * arch.labels));
      else logits.skip();
    }
  }
  if (logits && task !== "mlm" && task !== "tokens") comparePooled(logits, await context.classify());
  const sentence = values.get("sentence");
  if (sentence) {
    const { width, read } = vectorMaker(model);
    comparePooled(sentence, normaliseRows(await read(context), width));
  }
}

/** Buffers for every stage that the engine shows on its way; a path's own logits are under the path's name in `floats`. */
function tap(model: Model, tokens: number, { values, paths }: Comparisons) {
  const { layers, hidden } = model.config.arch;
  const taps = new NativeTaps();
  const floats = new Map<string, Float32Array>();
  const nodes = new Map<string, Int32Array>();
  const add = (name: string, kind: number, layer: number) => {
    if (!values.has(name)) return;
    const buffer = new Float32Array(tokens * hidden);
    floats.set(name, buffer);
    taps.add(kind, layer, buffer);
  };
  add("embedding", UFFB_TAP_EMBEDDING, 0);
  for (let layer = 0; layer < layers; layer++) {
    add(`layer.${layer}`, UFFB_TAP_LAYER, layer);
    const name = `path.${layer}`;
    const path = paths.get(name);
    if (!path) continue;
    const visited = new Int32Array(tokens * path.stage.width);
    const logits = new Float32Array(visited.length);
    nodes.set(name, visited);
    floats.set(name, logits);
    taps.add(UFFB_TAP_PATH, layer, visited);
    taps.add(UFFB_TAP_PATH_LOGITS, layer, logits);
  }
  add("final", UFFB_TAP_FINAL, 0);
  return { taps, floats, nodes };
}
