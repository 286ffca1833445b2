/** How attention is divided into heads: settings that all families have alike. */
import type { Arch } from "../../../ffi/bindings.ts";
import { isObject } from "../../base/json.ts";
import type { Section } from "./section.ts";

export type Heads = Pick<Arch, "heads" | "headSize" | "layerHeads">;

/**
 * Reads `keys.heads`, `head_dim` and `pruned_heads`. `head_dim` is the units of a head, where they are not hidden / heads.
 *
 * `pruned_heads` is what `transformers` up to version 4 writes for a model that it took heads out of: by a layer's number, the numbers of
 * those that it lacks, of all that `keys.heads` counts; weights are those of the others, in their order.
 */
export function readHeads(
  config: Section,
  keys: { hidden: string; heads: string },
  { hidden, layers }: { hidden: number; layers: number },
): Heads {
  const heads = config.size(keys.heads, 1, hidden);
  const hasSize = config.has(HEAD_SIZE_KEY);
  if (!hasSize && hidden % heads !== 0)
    throw config.bad(keys.heads, `it does not divide ${keys.hidden}, ${hidden}`);
  const headSize = hasSize ? config.size(HEAD_SIZE_KEY, 1, Math.floor(hidden / heads)) : hidden / heads;
  return { heads, headSize, layerHeads: readPruned(config, heads, layers) };
}

/** [layers]: how many heads each layer has; null where all have all. */
function readPruned(config: Section, heads: number, layers: number): Int32Array | null {
  const value = config.get(PRUNED_KEY) ?? {};
  if (!isObject(value)) throw config.bad(PRUNED_KEY, "it must map numbers of layers to lists of heads");
  const entries = Object.entries(value);
  if (entries.length === 0) return null;
  const counts = new Int32Array(layers).fill(heads);
  for (const [layer, gone] of entries) {
    if (!/^(0|[1-9]\d{0,7})$/.test(layer) || Number(layer) >= layers)
      throw config.bad(PRUNED_KEY, `layers have the numbers 0 to ${layers - 1}`);
    if (!Array.isArray(gone) || gone.some((head) => !Number.isInteger(head) || head < 0 || head >= heads))
      throw config.bad(
        PRUNED_KEY,
        `layer ${layer} needs a list of heads, which have the numbers 0 to ${heads - 1}`,
      );
    counts[Number(layer)] = heads - new Set(gone).size;
    if (counts[Number(layer)] === 0) throw config.bad(PRUNED_KEY, `a head of layer ${layer} must stay`);
  }
  return counts.every((count) => count === heads) ? null : counts;
}

export const PRUNED_KEY = "pruned_heads";
export const HEAD_SIZE_KEY = "head_dim";

/** What `pruned_heads` says. */
export type PrunedHeads = Readonly<Record<string, readonly number[]>>;

/** The numbers of the heads that a layer has. */
export function headNumbers(heads: number, gone: readonly number[] = []): number[] {
  return Array.from({ length: heads }, (_, head) => head).filter((head) => !gone.includes(head));
}

/** Heads of a layer. */
export const headCount = ({ heads, layerHeads }: Heads, layer: number): number =>
  layerHeads?.[layer] ?? heads;
