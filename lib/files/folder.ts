/** The text files of a model's folder. */
import { lstatSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { UffbError } from "../base/errors.ts";
import { readRegularText } from "../base/read.ts";

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

/** The files of a folder. They must lie in it, for `convert` packs them, and people publish what it writes. */
export function filesOf(folder: string): ModelFiles {
  return (name) => {
    const path = join(folder, name);
    if (!isThere(path)) return undefined;
    return { text: readRegularText(path, { most: MAX_TEXT, inside: placesOf(folder) }), source: path };
  };
}

/**
 * Whether there is something of this name. A link whose target is gone is not nothing: the model would be run as if it lacked the file.
 *
 * @throws UffbError for such a link
 */
export function isThere(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })) return true;
  if (!lstatSync(path, { throwIfNoEntry: false })) return false;
  throw new UffbError(`${path}: is a link to a file that is gone; get the file again`);
}

/** A snapshot in the hub's cache links to the blobs beside it. */
function placesOf(folder: string): string[] {
  const snapshots = dirname(resolve(folder));
  return basename(snapshots) === "snapshots" ? [folder, join(dirname(snapshots), "blobs")] : [folder];
}

/** A file that the user named. @throws UffbError when it cannot be read, is too large, or is not UTF-8 */
export function readTextFile(path: string): string {
  return readRegularText(path, { most: MAX_TEXT });
}
