import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Checkpoint } from "../files/checkpoint.ts";
import { modelTexts } from "../files/packed.ts";
import { type OnBytes, type TensorSource, writeSafetensors } from "../files/safetensors/write.ts";
import type { Config } from "../model/config.ts";
import { takePart } from "../model/interleave.ts";
import { storedForms } from "../model/roles.ts";
import { withTokenizer } from "../model/tokenizers/read.ts";
import { moduleSources } from "./modules.ts";
import { Scratch } from "./rewrite.ts";
import { type Weight, weightData } from "./weights.ts";

/**
 * Writes a folder that the model's own code loads: its files and model.safetensors, with the names, shapes and layouts of its state dict,
 * a tied decoder included. Returns the bytes of the tensors' file.
 *
 * @throws as weightData does
 */
export async function writeFolder(
  path: string,
  weights: readonly Weight[],
  config: Config,
  checkpoint: Checkpoint,
  onProgress?: OnBytes,
): Promise<number> {
  const { family, arch } = config;
  mkdirSync(path);
  for (const [name, text] of modelTexts(withTokenizer(checkpoint.file))) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  for (const [folder, sources] of moduleSources(checkpoint)) {
    mkdirSync(join(path, folder), { recursive: true });
    await writeSafetensors(join(path, folder, "model.safetensors"), { format: "pt" }, sources);
  }
  const scratch = new Scratch();
  const stored = (weight: Weight, engineName: string): TensorSource[] => {
    const { dtype } = weight;
    const wanted = { ...weight.binding.wanted, name: engineName };
    return storedForms(config, wanted).map(({ layout, share, ...tensor }) => {
      const whole = () => weightData(weight, layout, scratch);
      const { rows, cols } = wanted;
      return {
        ...tensor,
        dtype,
        data: () => (share ? takePart(whole(), share, { rows, cols, dtype }) : whole()),
      };
    });
  };
  const tensors = weights.flatMap((weight) => stored(weight, weight.binding.wanted.name));
  const word = weights.find(({ binding }) => binding.wanted.name === "embed.word");
  if (arch.tied && word) tensors.push(...stored(word, "head.mlm.decoder.weight"));
  for (const { data, ...buffer } of family.buffers?.(arch) ?? [])
    tensors.push({ ...buffer, data: () => [data] });
  return writeSafetensors(join(path, "model.safetensors"), { format: "pt" }, tensors, { onProgress });
}
