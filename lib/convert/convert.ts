import { makeWhole } from "../base/write.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { unchanged } from "../files/safetensors/mapped.ts";
import type { OnBytes } from "../files/safetensors/write.ts";
import { loadConfig } from "../model/config.ts";
import { bindTensors, type Unused } from "../model/roles.ts";
import { writeFolder } from "./folder.ts";
import type { WeightDtype } from "./kinds.ts";
import { writePacked } from "./packed.ts";
import { writeTensors } from "./tensors.ts";
import { planWeights, type Weight } from "./weights.ts";

export type { WeightDtype } from "./kinds.ts";

export interface ConvertOptions {
  /** A packed file, or a folder that the model's own code loads. */
  to: "packed" | "hf";
  /** Of the matrices; I8 is for packed files. */
  dtype: WeightDtype;
  /** Leave tensors out that the model does not have. */
  ignoreUnknown?: boolean;
  /** Called with the finished result before it gets its name; what it throws undoes everything. */
  check?(temporary: string): Promise<void>;
  /** Bytes written, and of how many. */
  onProgress?: OnBytes | undefined;
}

export interface Converted {
  /** Of the file, or of the folder's tensors. */
  bytes: number;
  weights: Weight[];
  unused: Unused[];
}

/**
 * Writes a model in another form. Beyond the mapped source it needs memory for a part of one tensor; for the strided tensors of a pickle,
 * for the largest one. The result appears under its name when it is complete.
 *
 * @throws UffbError when the checkpoint does not fit its config, a finite weight is out of the dtype's range, or `output` cannot be written
 */
export function convertModel(
  checkpoint: Checkpoint,
  output: string,
  { to, dtype, ignoreUnknown = false, check, onProgress }: ConvertOptions,
): Promise<Converted> {
  return makeWhole(output, async (temporary) => {
    const bound = bindTensors(loadConfig(checkpoint), checkpoint, { ignoreUnknown });
    bound.native[Symbol.dispose]();
    const weights = planWeights(bound.bindings, dtype, bound.config.arch);
    const bytes =
      to === "packed"
        ? await writePacked(temporary, weights, checkpoint, onProgress)
        : await writeFolder(temporary, weights, bound.config, checkpoint, onProgress);
    await check?.(temporary);
    unchanged(checkpoint.tensors.values())();
    return { bytes, weights, unused: bound.unused };
  });
}

/**
 * Writes the tensors of a file of any architecture to a safetensors file, bit by bit; `shared` maps each duplicate name to the name that
 * its tensor is written under.
 */
export function convertTensors(
  checkpoint: Checkpoint,
  output: string,
  onProgress?: OnBytes,
): Promise<{ bytes: number; shared: Map<string, string> }> {
  return makeWhole(output, async (temporary) => {
    const written = await writeTensors(temporary, checkpoint, onProgress);
    unchanged(checkpoint.tensors.values())();
    return written;
  });
}
