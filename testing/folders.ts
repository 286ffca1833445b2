/** Model folders for tests, made from the ones in fixtures/reference. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Converted, convertModel, type WeightDtype } from "../lib/convert/convert.ts";
import { openCheckpoint } from "../lib/files/checkpoint.ts";
import { openSafetensors, type StoredTensor } from "../lib/files/safetensors/safetensors.ts";
import type { TensorSource } from "../lib/files/safetensors/write.ts";

export const REFERENCE = fileURLToPath(new URL("../fixtures/reference/", import.meta.url));

/** Models of Hugging Face's code. */
export const REFERENCE_BERT = fileURLToPath(new URL("../fixtures/reference-bert/", import.meta.url));

/** A folder that goes away with the `using` that holds it. */
export class TemporaryFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "uffb-test-"));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

// biome-ignore lint/suspicious/noExplicitAny: tests put anything anywhere in it
export type Json = any;
export type Tensors = Map<string, Pick<StoredTensor, "dtype" | "shape" | "data">>;

/** A reference model's config and tensors, for a test to change. */
export function reference(name: string, root = REFERENCE): { config: Json; tensors: Tensors } {
  const config = JSON.parse(readFileSync(join(root, name, "config.json"), "utf8"));
  return { config, tensors: new Map(openSafetensors(join(root, name, "model.safetensors"))) };
}

/** Packs the model at `source`. */
export function pack(source: string, path: string, dtype: WeightDtype = "F32"): Promise<Converted> {
  return convertModel(openCheckpoint(source), path, { to: "packed", dtype });
}

export function sources(tensors: Tensors): TensorSource[] {
  return [...tensors].map(([name, { dtype, shape, data }]) => ({ name, dtype, shape, data: () => [data] }));
}

/** Writes config.json and, without the writer's padding tensors, model.safetensors. */
export function writeModel(
  folder: TemporaryFolder,
  { config, tensors }: { config: Json; tensors: Tensors },
): string {
  writeFileSync(folder.file("config.json"), JSON.stringify(config));
  writePlain(folder.file("model.safetensors"), tensors);
  return folder.path;
}

/** The bytes of a safetensors file with exactly this header. */
export function safetensorsBytes(
  header: string | Uint8Array,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

export function writePlain(path: string, tensors: Tensors): void {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end + data.length] };
    end += data.length;
  }
  writeFileSync(
    path,
    safetensorsBytes(JSON.stringify(header), Buffer.concat([...tensors.values()].map(({ data }) => data))),
  );
}
