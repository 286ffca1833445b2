import type { Checkpoint } from "../files/checkpoint.ts";
import { modelTexts, PACKED_METADATA, packedForm } from "../files/packed.ts";
import { type OnBytes, type TensorSource, writeSafetensors } from "../files/safetensors/write.ts";
import { withTokenizer } from "../model/tokenizers/read.ts";
import { moduleSources } from "./modules.ts";
import { Scratch } from "./rewrite.ts";
import { quantised, type Weight, weightData } from "./weights.ts";

/**
 * Writes a packed file and returns its size. The files and modules beside the encoder are those of `checkpoint`. Beyond the mapped source it
 * needs memory for a small part of one tensor.
 *
 * @throws as weightData does
 */
export function writePacked(
  path: string,
  weights: readonly Weight[],
  checkpoint: Checkpoint,
  onProgress?: OnBytes,
): Promise<number> {
  const broken = weights.filter(({ finite }) => !finite).map(({ binding }) => binding.wanted.name);
  const metadata: Record<string, string> = { ...PACKED_METADATA };
  if (broken.length > 0) metadata.not_finite = broken.join(" ");
  const scratch = new Scratch();
  const tensors = weights.flatMap((weight): TensorSource[] => {
    const { binding, dtype } = weight;
    const { name } = binding.wanted;
    const { shape, layout } = packedForm(binding.wanted, dtype);
    const integers = quantised(weight, shape, scratch);
    return integers ?? [{ name, dtype, shape, data: () => weightData(weight, layout, scratch) }];
  });
  for (const [folder, sources] of moduleSources(checkpoint))
    tensors.push(...sources.map((source) => ({ ...source, name: `${folder}/${source.name}` })));
  for (const [name, text] of modelTexts(withTokenizer(checkpoint.file))) {
    const data = new TextEncoder().encode(text);
    tensors.push({ name, dtype: "U8", shape: [data.length], data: () => [data] });
  }
  return writeSafetensors(path, metadata, tensors, { aligned: true, onProgress });
}
