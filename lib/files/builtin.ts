import { fileURLToPath } from "node:url";
import { attached } from "../../ffi/attached.ts";
import { type Checkpoint, openPacked } from "./checkpoint.ts";
import { packedFiles } from "./packed.ts";
import { mapFile } from "./safetensors/mapped.ts";
import { parseTensorFile } from "./safetensors/safetensors.ts";

/** Its path in the checkout, where fixtures/README.md tells of it. */
export const BUILTIN = "fixtures/model/model-tiny.uffb.safetensors";

/** The model in this program: a small UltraFastBERT for English. */
export function openBuiltin(): Checkpoint {
  const bytes = attached(BUILTIN) ?? mapFile(fileURLToPath(new URL(`../../${BUILTIN}`, import.meta.url)));
  const source = "the built-in model";
  return openPacked(packedFiles(parseTensorFile(bytes, source), source), source);
}
