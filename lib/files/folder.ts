/** The text files of a model's folder. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UffbError } from "../base/errors.ts";
import { mapFile } from "./safetensors/safetensors.ts";

export interface ModelFile {
  text: string;
  /** Its name in messages. */
  source: string;
}

/**
 * Gives a file that belongs to a model (config.json, tokenizer.json, ...), or undefined when the model has none of this name.
 *
 * @throws UffbError when it cannot be read, is too large, or is not UTF-8
 */
export type ModelFiles = (name: string) => ModelFile | undefined;

/** Largest text file read, in bytes; a large vocabulary's tokenizer.json has some 35 million. */
const MAX_TEXT = 128 * 2 ** 20;

export function filesOf(folder: string): ModelFiles {
  return (name) => {
    const path = join(folder, name);
    return existsSync(path) ? { text: readTextFile(path), source: path } : undefined;
  };
}

/** @throws UffbError */
export function readTextFile(path: string): string {
  const bytes = mapFile(path);
  if (bytes.length > MAX_TEXT)
    throw new UffbError(`${path}: has ${bytes.length} bytes; at most ${MAX_TEXT} are read`);
  return decodeText(bytes, path);
}

/** @throws UffbError when the bytes are not UTF-8 */
export function decodeText(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UffbError(`${source}: is not UTF-8 text; get the file again`, { cause: error });
  }
}
