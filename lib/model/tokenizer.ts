import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UffbError } from "../base/errors.ts";
import { type JsonObject, readObject } from "../base/json.ts";
import { Tokenizer } from "../text/tokenizer/tokenizer.ts";

/** Largest file that is read, in bytes; the largest in use has about 35 million. */
const MAX_FILE = 128 * 1024 * 1024;

/** Files that may lie beside a tokenizer.json and name its special tokens, the first to be asked first. */
const BESIDE = ["tokenizer_config.json", "special_tokens_map.json"];

/**
 * Opens the tokenizer of a model folder, of a packed file or of the built-in model (no path), or a tokenizer.json by its path.
 *
 * @throws UffbError when there is none, or it is damaged or not supported
 */
export async function openTokenizer(path?: string): Promise<Tokenizer> {
  if (path === undefined) return openOfModel();
  const kind = statSync(path, { throwIfNoEntry: false });
  if (!kind) throw new UffbError(`${path}: no such file or folder`);
  if (!kind.isDirectory() && !path.endsWith(".json")) return openOfModel(path);
  const file = kind.isDirectory() ? join(path, "tokenizer.json") : path;
  const json = await readText(file);
  if (json === undefined) {
    throw new UffbError(
      `${path}: holds no tokenizer.json; add the one that the model was trained with, or give another --tokenizer`,
    );
  }
  const folder = dirname(file);
  const beside: JsonObject[] = [];
  // Another name than tokenizer.json does not belong to the files beside it.
  for (const name of basename(file) === "tokenizer.json" ? BESIDE : []) {
    const text = await readText(join(folder, name));
    if (text !== undefined) beside.push(readObject(text, join(folder, name)));
  }
  return Tokenizer.parse(json, file, beside);
}

/** Of a packed file, or of the built-in model; what reads those is loaded only then. */
async function openOfModel(path?: string): Promise<Tokenizer> {
  const [{ openCheckpoint }, { loadTokenizer }] = await Promise.all([
    import("../files/checkpoint.ts"),
    import("./model.ts"),
  ]);
  const checkpoint =
    path === undefined ? (await import("../files/builtin.ts")).openBuiltin() : openCheckpoint(path);
  const tokenizer = loadTokenizer(checkpoint);
  if (!tokenizer)
    throw new UffbError(`${checkpoint.source}: has no tokenizer.json; give another --tokenizer`);
  return tokenizer;
}

/** A file's text, or nothing if there is no such file. */
async function readText(path: string): Promise<string | undefined> {
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if (size === undefined) return undefined;
  if (size > MAX_FILE) throw new UffbError(`${path}: ${size} bytes; a tokenizer has at most ${MAX_FILE}`);
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new UffbError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    });
  }
}
