import { readFileSync } from "node:fs";
import path from "../../fixtures/model/model-tiny.uffb.safetensors" with { type: "file" };
import { type Checkpoint, openPacked } from "./checkpoint.ts";
import { packedFiles } from "./packed.ts";
import { parseTensorFile } from "./safetensors/safetensors.ts";

/** The model in this program: a small UltraFastBERT for English (fixtures/README.md). A compiled binary's files cannot be mapped. */
export function openBuiltin(): Checkpoint {
  const source = "the built-in model";
  return openPacked(packedFiles(parseTensorFile(readFileSync(path), source), source), source);
}
