import { statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { UffbError } from "../base/errors.ts";
import { filesOf, type ModelFiles, readTextFile } from "../files/folder.ts";
import { TOKENIZER_FILE as TOKENIZER } from "../files/tokenizer.ts";
import type { Tokenizer } from "../text/tokenizer/tokenizer.ts";
import { readTokenizer, tokenizerTexts } from "./tokenizers/read.ts";

/**
 * The tokenizer among a model's files, if there is one: its tokenizer.json, or one made of its vocabulary's files.
 *
 * @throws UffbError when it is damaged or not supported
 */
export function loadTokenizer(file: ModelFiles): Tokenizer | undefined {
  return readTokenizer(file);
}

/**
 * Opens the tokenizer of a model: of its folder, of a packed file, of a downloaded model by its name, or of the built-in model (no path);
 * or a tokenizer.json by its path.
 *
 * @throws UffbError when there is none, or it is damaged or not supported
 */
export async function openTokenizer(path?: string): Promise<Tokenizer> {
  const { source, file } = await filesAt(path);
  const tokenizer = loadTokenizer(file);
  if (tokenizer) return tokenizer;
  throw new UffbError(
    `${source}: holds no ${TOKENIZER}; add the one that the model was trained with, or give another --tokenizer`,
  );
}

/**
 * The same with the text of its files, by name, as a model is to have them beside it.
 *
 * @throws UffbError
 */
export async function openTokenizerFiles(
  path?: string,
): Promise<{ source: string; tokenizer: Tokenizer; texts: Record<string, string> }> {
  const { source, file } = await filesAt(path);
  return { source, tokenizer: await openTokenizer(path), texts: tokenizerTexts(file) };
}

async function filesAt(path: string | undefined): Promise<{ source: string; file: ModelFiles }> {
  const status = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
  if (path !== undefined && status?.isDirectory()) return { source: path, file: filesOf(path) };
  if (path !== undefined && status && path.endsWith(".json")) {
    if (basename(path) === TOKENIZER) return { source: path, file: filesOf(dirname(path)) };
    // Another name does not belong to the files beside it.
    const text = readTextFile(path);
    return { source: path, file: (name) => (name === TOKENIZER ? { text, source: path } : undefined) };
  }
  // What reads packed files is loaded only for them.
  if (path === undefined) return (await import("../files/builtin.ts")).openBuiltin();
  return (await import("../files/checkpoint.ts")).openCheckpoint(path);
}
