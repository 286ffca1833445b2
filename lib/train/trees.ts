import { UFFB_FFN_FFF } from "../../ffi/bindings.ts";
import type { NativeTrainer } from "../../ffi/train.ts";
import { leafUsage } from "../eval/inspect/paths.ts";
import type { TreeRecord } from "./records.ts";

/** How the tokens of the steps since `clearVisits` spread over the leaves, layer by layer; [] of a model without trees. */
export function treeRecords(trainer: NativeTrainer): TreeRecord[] {
  const { feedforward, layers, trees } = trainer.arch;
  if (feedforward !== UFFB_FFN_FFF) return [];
  return Array.from({ length: layers }, (_, layer) => {
    const visits = Float64Array.from(trainer.visits(layer), Number);
    const nodes = visits.length / trees;
    const { leaves, deadLeaves, entropy } = leafUsage(
      Array.from({ length: trees }, (_, tree) => visits.subarray(tree * nodes, (tree + 1) * nodes)),
    );
    return { layer, leaves, reached: leaves - deadLeaves, dead: deadLeaves, entropy };
  });
}
