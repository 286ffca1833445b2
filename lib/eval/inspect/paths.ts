/** How texts fall through a model's trees: which nodes their tokens visit, layer by layer. */
import { UFFB_FFN_FFF } from "../../../ffi/bindings.ts";
import { NativeContext } from "../../../ffi/context.ts";
import { UffbError } from "../../base/errors.ts";
import type { Model } from "../../model/model.ts";
import { Cancellation } from "../../run/cancel.ts";
import { areFinite, NOT_FINITE } from "../../run/finite.ts";
import { encodePaths, pathWidth } from "../../run/paths.ts";
import { type Prepared, prepare } from "../../run/prepare.ts";
import { BATCH_TOKENS, batches, ragged } from "../../text/batches.ts";
import type { BadItem, Item } from "../../text/input/input.ts";

export interface PathOptions {
  /** CPU threads; 0 for all that this process may use. */
  threads?: number;
  /** Stops the running batch, and then throws CancelledError. */
  signal?: AbortSignal;
  /** Called for each input that cannot be used. */
  onBad?(item: BadItem): void;
  /** Called with the number of texts of each batch. */
  onTexts?(count: number): void;
}

export interface PathUsage {
  texts: number;
  tokens: number;
  /** Texts that were cut to what the model takes. */
  cut: number;
  depth: number;
  layers: LayerUsage[];
  /** The first usable text; "" of token ids. */
  firstText: string;
  /** The leaves of the first tokens, MAX_WALKS at most. */
  walks: Walk[];
}

/** Where a token falls. */
export interface Walk {
  /** The number of its text: the line of stdin, or the argument. */
  line: number;
  id: number;
  /** As the tokenizer spells it; without one, its id. */
  token: string;
  /** The leaf that it reaches, from 0 at the left, in [layers][trees]. */
  leaves: number[][];
}

/** Tokens whose own leaves are kept: those of a few sentences, so that memory does not grow with the stream. */
const MAX_WALKS = 512;

/** A layer's trees together; a mean over the trees where there are several. */
export interface LayerUsage {
  layer: number;
  /** How often each node was visited, [trees][2^(depth+1) - 1]: node 0 is the root, node n has the children 2n+1 and 2n+2. */
  visits: Float64Array[];
  /** Entropy of the leaf that a token ends in, in bits: 0 when all end in one, `depth` when all leaves are alike. */
  entropy: number;
  /** Leaves in which no token ended, of all trees. */
  deadLeaves: number;
  /** Of all trees: trees * 2^depth. */
  leaves: number;
  /** Nodes from the root on that a token shares with the next one of its text, at most depth + 1. */
  sharedNext: number;
  /** The same for two tokens picked at random. */
  sharedRandom: number;
}

/** Most bytes of paths held at once. */
const TAP_BYTES = 32 * 2 ** 20;

/**
 * Runs texts through a model and counts the nodes that their tokens, special ones included, visit. Memory does not grow with the stream.
 *
 * @throws UffbError when the model has no trees, or no input could be used; CancelledError
 */
export async function measurePaths(
  model: Model,
  items: AsyncIterable<Item | BadItem>,
  { threads = 0, signal, onBad, onTexts }: PathOptions = {},
): Promise<PathUsage> {
  const { arch } = model.config;
  const { feedforward, layers, hidden, trees, depth } = arch;
  if (feedforward !== UFFB_FFN_FFF) {
    const layersAre = arch.width > 0 ? "its feedforward layers are dense" : "it has no feedforward layers";
    throw new UffbError(`${model.source}: ${layersAre}; there is no tree for a text to fall through`);
  }
  const width = pathWidth(arch);
  const perToken = 4 * layers * width;
  const budget = Math.max(1, Math.min(BATCH_TOKENS, Math.floor(TAP_BYTES / perToken)));
  const counters = Array.from({ length: layers }, () => new Counter(trees, depth));
  const usage = { texts: 0, tokens: 0, cut: 0, firstText: "" };
  const walks: Walk[] = [];
  const tokenizer = model.optionalTokenizer();
  using context = new NativeContext(model.native, { threads });
  using cancellation = new Cancellation(context, signal);
  const prepared = prepare(model, items, { fill: false, truncate: true, maskId: undefined });
  const weight = (entry: Prepared | BadItem) => ("ids" in entry ? entry.ids.length : 1);
  for await (const group of batches(prepared, { weight, budget })) {
    const texts: Prepared[] = [];
    for (const entry of group) {
      if ("ids" in entry) texts.push(entry);
      else onBad?.(entry);
    }
    if (texts.length === 0) continue;
    const batch = ragged(texts);
    const paths = await encodePaths(context, arch, batch);
    const states = await context.pool("mean");
    cancellation.check();
    onTexts?.(texts.length);
    texts.forEach(({ item, ids, dropped }, s) => {
      // Where logits are NaN, a path means nothing.
      if (!areFinite(states.subarray(s * hidden, (s + 1) * hidden))) {
        onBad?.({ line: item.line, error: NOT_FINITE });
        return;
      }
      const [start, end] = [Number(batch.offsets[s]), Number(batch.offsets[s + 1])];
      counters.forEach((counter, layer) => {
        counter.add(
          paths[layer]!.subarray(start * width, end * width),
          BigInt64Array.of(0n, BigInt(end - start)),
        );
      });
      for (const [t, id] of ids.subarray(0, MAX_WALKS - walks.length).entries()) {
        const leaves = paths.map((nodes) => leavesOf(nodes, (start + t) * width, trees, depth));
        walks.push({ line: item.line, id, token: tokenizer?.text(id) ?? String(id), leaves });
      }
      if (usage.texts === 0) usage.firstText = item.text;
      usage.texts++;
      usage.tokens += ids.length;
      if (dropped > 0) usage.cut++;
    });
  }
  if (usage.tokens === 0) throw new UffbError("no text could be used");
  return { ...usage, depth, layers: counters.map((counter, layer) => counter.usage(layer)), walks };
}

/** The leaf of each tree that a token reaches, of its paths, which begin at `at`. */
function leavesOf(nodes: Int32Array, at: number, trees: number, depth: number): number[] {
  const first = 2 ** depth - 1;
  return Array.from({ length: trees }, (_, tree) => nodes[at + tree * (depth + 1) + depth]! - first);
}

/** How the tokens of one layer spread over its leaves. @param visits [trees][2^(depth+1) - 1], as in LayerUsage */
export function leafUsage(
  visits: readonly Float64Array[],
): Pick<LayerUsage, "entropy" | "deadLeaves" | "leaves"> {
  let entropy = 0;
  let deadLeaves = 0;
  let leaves = 0;
  for (const tree of visits) {
    const tokens = tree[0]!;
    const ends = tree.subarray((tree.length - 1) / 2);
    leaves += ends.length;
    for (const count of ends) {
      const share = count / tokens;
      if (count === 0) deadLeaves++;
      else entropy -= share * Math.log2(share);
    }
  }
  return { entropy: Math.abs(entropy) / visits.length, deadLeaves, leaves };
}

/** Counts what the tokens of one layer visit. */
export class Counter {
  readonly #visits: Float64Array[];
  /** Pairs of neighbouring tokens, and the nodes that they share, over all trees. */
  #pairs = 0;
  #shared = 0;
  #tokens = 0;

  constructor(
    readonly trees: number,
    readonly depth: number,
  ) {
    this.#visits = Array.from({ length: trees }, () => new Float64Array(2 ** (depth + 1) - 1));
  }

  /** @param paths [tokens, trees, depth + 1] @param offsets [sequences + 1], the first token of each */
  add(paths: Int32Array, offsets: BigInt64Array): void {
    const { trees } = this;
    const levels = this.depth + 1;
    const row = trees * levels;
    for (let at = 0; at < paths.length; at++)
      this.#visits[Math.floor(at / levels) % trees]![paths[at]!]! += 1;
    this.#tokens += paths.length / row;
    for (let s = 0; s + 1 < offsets.length; s++) {
      for (let token = Number(offsets[s]) + 1; token < Number(offsets[s + 1]); token++) {
        this.#pairs++;
        for (let tree = 0; tree < trees; tree++) {
          const here = token * row + tree * levels;
          let level = 0;
          while (level < levels && paths[here + level] === paths[here - row + level]) level++;
          this.#shared += level;
        }
      }
    }
  }

  usage(layer: number): LayerUsage {
    const { trees } = this;
    let sharedRandom = 0;
    for (const visits of this.#visits) {
      // Two tokens share a node when both visit it: with the probability of one, squared.
      for (const count of visits) sharedRandom += (count / this.#tokens) ** 2;
    }
    return {
      layer,
      visits: this.#visits,
      ...leafUsage(this.#visits),
      sharedNext: this.#pairs === 0 ? Number.NaN : this.#shared / this.#pairs / trees,
      sharedRandom: sharedRandom / trees,
    };
  }
}
