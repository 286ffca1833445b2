/** The tensors of modules after the encoder, which go from one form of a model to another as they are. */
import type { Checkpoint } from "../files/checkpoint.ts";
import type { TensorSource } from "../files/safetensors/write.ts";
import { moduleFolders } from "../files/sentence.ts";

/** By the module's folder; those without tensors are left out. */
export function moduleSources(checkpoint: Checkpoint): Map<string, TensorSource[]> {
  const sources = new Map<string, TensorSource[]>();
  for (const folder of moduleFolders(checkpoint.file)) {
    const tensors = checkpoint.moduleTensors(folder);
    if (tensors === undefined) continue;
    const own = [...tensors].map(([name, tensor]): TensorSource => {
      const { dtype, shape } = tensor;
      return { name, dtype, shape, data: () => [tensor.data] };
    });
    sources.set(folder, own);
  }
  return sources;
}
