/** Which neurons and heads stay, and the model that has these alone. */
import { NativeTrainer } from "../../ffi/train.ts";
import { columnsOf, largestOf, rowsOf } from "../distil/narrow.ts";
import type { Config } from "../model/config.ts";

/** Numbers, rising, for each layer. */
export interface Kept {
  /** None of models without dense feedforward layers. */
  neurons: readonly (readonly number[])[];
  /** Of the heads that the layer has, by place. */
  heads: readonly (readonly number[])[];
}

/**
 * The `count` heads of all layers that matter most; a layer keeps one at least.
 * @param importance for each layer [heads of it]; each layer's has the length 1 before layers are compared, as in Michel et al., since
 * gradients differ in size from layer to layer
 */
export function mostImportantHeads(importance: readonly Float64Array[], count: number): number[][] {
  const kept = importance.map((values) => largestOf(values, 1));
  const others = importance.flatMap((values, layer) => {
    const length = Math.hypot(...values) || 1;
    return Array.from(values, (value, head) => ({ layer, head, share: value / length }));
  });
  const rest = others
    .filter(({ layer, head }) => !kept[layer]!.includes(head))
    .sort((a, b) => b.share - a.share || a.layer - b.layer || a.head - b.head);
  for (const { layer, head } of rest.slice(0, count - kept.length)) kept[layer]!.push(head);
  return kept.map((heads) => heads.sort((a, b) => a - b));
}

/** What of a matrix of a layer stays: rows or columns, `each` for every neuron or head. */
interface Part {
  kept: keyof Kept;
  side: "rows" | "columns";
  each: number;
}

/** By the ends of their names. Rows of q, k and v lie head by head. */
function partsOf({ headSize }: Config["arch"]): Readonly<Record<string, Part>> {
  return {
    "ffn.in.weight": { kept: "neurons", side: "rows", each: 1 },
    "ffn.in.bias": { kept: "neurons", side: "rows", each: 1 },
    "ffn.out.weight": { kept: "neurons", side: "columns", each: 1 },
    "attn.qkv.weight": { kept: "heads", side: "rows", each: 3 * headSize },
    "attn.qkv.bias": { kept: "heads", side: "rows", each: 3 * headSize },
    "attn.out.weight": { kept: "heads", side: "columns", each: headSize },
  };
}

/**
 * The model of `config` with some of the neurons and heads of another, in their order. It computes what the whole one does with zeros in the
 * output columns of the others.
 */
export function withKept(
  whole: NativeTrainer,
  { arch, padding }: Pick<Config, "arch" | "padding">,
  kept: Kept,
): NativeTrainer {
  const parts = partsOf(arch);
  const trainer = new NativeTrainer(arch, padding);
  try {
    for (const { name, present, cols } of whole.parameters()) {
      if (!present) continue;
      const [, layer, end] = /^layer\.(\d+)\.(.*)$/.exec(name) ?? [];
      const part = parts[end ?? ""];
      const stays = part && kept[part.kept][Number(layer)];
      const weight = whole.get(name);
      if (stays === undefined) trainer.set(name, weight);
      else {
        const all = stays.flatMap((i) => Array.from({ length: part!.each }, (_, j) => i * part!.each + j));
        const columns = end!.endsWith("bias") ? 1 : cols;
        trainer.set(
          name,
          part!.side === "rows" ? rowsOf(weight, columns, all) : columnsOf(weight, cols, all),
        );
      }
    }
    return trainer;
  } catch (error) {
    trainer[Symbol.dispose]();
    throw error;
  }
}
