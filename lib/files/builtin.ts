import { fileURLToPath } from "node:url";
import { attached } from "../../ffi/attached.ts";
import { type Checkpoint, openPacked } from "./checkpoint.ts";
import { packedFiles } from "./packed.ts";
import { mapFile } from "./safetensors/mapped.ts";
import { parseTensorFile } from "./safetensors/safetensors.ts";

/**
 * The models in this program: a small UltraFastBERT for English that fills masks, and one that makes vectors of sentences. What messages
 * call each, and its path in the checkout, where fixtures/README.md tells of them.
 */
export const BUILTIN = {
  masked: { source: "the built-in model", path: "fixtures/model/masked.uffb.safetensors" },
  sentence: { source: "the built-in sentence model", path: "fixtures/model/sentence.uffb.safetensors" },
} as const;

export type Builtin = keyof typeof BUILTIN;

export function openBuiltin(which: Builtin = "masked"): Checkpoint {
  const { source, path } = BUILTIN[which];
  const bytes = attached(path) ?? mapFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)));
  return openPacked(packedFiles(parseTensorFile(bytes, source), source), source);
}
