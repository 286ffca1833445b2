import { UffbError } from "../base/errors.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { type OnBytes, type TensorSource, writeSafetensors } from "../files/safetensors/write.ts";

/**
 * Writes every tensor of a checkpoint of whatever architecture as it is. Of tensors that are one and the same, the first by name is written,
 * and the metadata map the others' names to it, as Python's safetensors.torch.save_model does.
 *
 * @throws UffbError for a packed file
 */
export async function writeTensors(
  path: string,
  { source, packed, tensors }: Checkpoint,
  onProgress?: OnBytes,
): Promise<{ bytes: number; shared: Map<string, string> }> {
  if (packed) {
    throw new UffbError(
      `${source}: is packed, so its tensors are the engine's; use --to hf for the model's own`,
    );
  }
  const firsts = new Map<string, string>();
  const shared = new Map<string, string>();
  const written: TensorSource[] = [];
  for (const name of [...tensors.keys()].sort()) {
    const tensor = tensors.get(name)!;
    const { identity, dtype, shape } = tensor;
    const first = identity === undefined ? undefined : firsts.get(identity);
    // Metadata have a "format" of their own.
    if (first !== undefined && name !== "format") {
      shared.set(name, first);
      continue;
    }
    if (identity !== undefined) firsts.set(identity, name);
    written.push({
      name,
      dtype,
      shape,
      *data() {
        yield tensor.data;
        if (tensor.copied) Bun.gc(true);
      },
    });
  }
  const metadata = { ...Object.fromEntries(shared), format: "pt" };
  return { bytes: await writeSafetensors(path, metadata, written, { onProgress }), shared };
}
