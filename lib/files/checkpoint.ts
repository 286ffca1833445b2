/** A model's files as they come: a folder, a file with config.json beside it, or a packed file that holds everything. */

import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { UffbError } from "../base/errors.ts";
import { isObject, readObject } from "../base/json.ts";
import { quoted } from "../base/printable.ts";
import { decodeUtf8 } from "../base/read.ts";
import { requireModel } from "../hub/models.ts";
import { filesOf, isThere, type ModelFiles, readTextFile } from "./folder.ts";
import { isPacked, type PackedFile, packedFiles } from "./packed.ts";
import { openPickle } from "./pickle/pickle.ts";
import { mapFile } from "./safetensors/mapped.ts";
import {
  namedTensors,
  openSafetensors,
  parseTensorFile,
  type StoredTensor,
} from "./safetensors/safetensors.ts";

export interface Checkpoint {
  /** Its path, for messages. */
  source: string;
  /** Of a packed file; undefined for others. */
  packed: PackedFile | undefined;
  /** By the file's own names: the engine's in a packed file, else those of the model's code. */
  tensors: Map<string, StoredTensor>;
  /** What a training run left beside the model in a pickle, by key. */
  skipped: readonly string[];
  /** A file that belongs to the model (config.json, tokenizer.json, ...), or undefined when it has none of this name. */
  file: ModelFiles;
  /**
   * The tensors of a module after the encoder, by the names of its own code; undefined where it has none. `folder` is as in modules.json.
   *
   * @throws UffbError when its file is not sound
   */
  moduleTensors(folder: string): Map<string, StoredTensor> | undefined;
}

const MAX_SHARDS = 1000;

interface Format {
  file: string;
  index: string;
  /** What a shard can be called. */
  shard: RegExp;
  open(path: string, onSkip: (key: string) => void): Map<string, StoredTensor>;
}

/** How checkpoints are stored in a folder, the best first. A large one is in shards that an index names. */
export const FORMATS: readonly Format[] = [
  {
    file: "model.safetensors",
    index: "model.safetensors.index.json",
    shard: /^[\w-][\w.-]*\.safetensors$/,
    open: openSafetensors,
  },
  {
    file: "pytorch_model.bin",
    index: "pytorch_model.bin.index.json",
    shard: /^[\w-][\w.-]*\.bin$/,
    open: openPickle,
  },
];

/**
 * Opens a folder, a file, or, where there is neither, the cached model of that name (see requireModel).
 *
 * @throws UffbError when there is no model at `path` or a file of it is not sound
 */
export function openCheckpoint(path: string): Checkpoint {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return openCheckpoint(requireModel(path));
  if (!status.isDirectory()) return openFile(path);
  for (const format of FORMATS) {
    const file = join(path, format.file);
    const index = join(path, format.index);
    const isWhole = isThere(file);
    if (!isWhole && !isThere(index)) continue;
    return plain(path, path, (skip) => (isWhole ? format.open(file, skip) : openShards(index, format, skip)));
  }
  throw new UffbError(
    `${path}: holds no ${FORMATS.map(({ file }) => file).join(" or ")}; is it a model's folder?`,
  );
}

function openFile(path: string): Checkpoint {
  const bytes = mapFile(path);
  if (isPickle(bytes)) return plain(path, dirname(path), (skip) => openPickle(path, skip));
  const file = parseTensorFile(bytes, path);
  if (isPacked(file)) return openPacked(packedFiles(file, path), path);
  return plain(path, dirname(path), () => namedTensors(file));
}

/** By what it starts with: a ZIP file or a pickle, where safetensors would have a length and an opening brace. */
function isPickle(bytes: Uint8Array): boolean {
  return bytes[8] !== 0x7b && (bytes[0] === 0x80 || (bytes[0] === 0x50 && bytes[1] === 0x4b));
}

function plain(
  source: string,
  folder: string,
  open: (onSkip: (key: string) => void) => Map<string, StoredTensor>,
): Checkpoint {
  const skipped: string[] = [];
  const tensors = open((key) => skipped.push(key));
  const moduleTensors = (module: string) => openModule(join(folder, module));
  return { source, packed: undefined, tensors, skipped, file: filesOf(folder), moduleTensors };
}

function openModule(folder: string): Map<string, StoredTensor> | undefined {
  for (const format of FORMATS) {
    const file = join(folder, format.file);
    if (isThere(file)) return format.open(file, () => {});
  }
  return undefined;
}

export function openPacked(packed: PackedFile, source: string): Checkpoint {
  const file = (name: string) => {
    const bytes = packed.files.get(name);
    return bytes && { text: decodeUtf8(bytes, `${source}, ${name}`), source: `${source}, ${name}` };
  };
  const moduleTensors = (folder: string) => {
    const start = `${folder}/`;
    const own = [...packed.moduleTensors].filter(([name]) => name.startsWith(start));
    return own.length === 0
      ? undefined
      : new Map(own.map(([name, tensor]) => [name.slice(start.length), tensor]));
  };
  return { source, packed, tensors: packed.tensors, skipped: [], file, moduleTensors };
}

/**
 * The tensors of all shards that an index names, whether it names them one by one or not, as `transformers` reads them: an index may be
 * older than its shards, and a tensor that none holds is missed where it is needed. Of one that several shards hold the index says which
 * counts.
 */
function openShards(index: string, format: Format, onSkip: (key: string) => void): Map<string, StoredTensor> {
  const places = readIndex(index);
  const shards = new Set(places.values());
  if (shards.size > MAX_SHARDS) throw new UffbError(`${index}: names more than ${MAX_SHARDS} files`);
  const tensors = new Map<string, StoredTensor>();
  for (const shard of shards) {
    // A name with a folder in it could lead anywhere.
    if (!format.shard.test(shard))
      throw new UffbError(`${index}: ${quoted(shard)} is not the name of a file beside it`);
    for (const [name, tensor] of format.open(join(dirname(index), shard), onSkip)) {
      const other = tensors.get(name);
      const place = places.get(name);
      if (other && place === undefined)
        throw new UffbError(
          `${index}: tensor ${quoted(name)} is in ${other.file} and ${shard}, and not here`,
        );
      if (!other || place === shard) tensors.set(name, tensor);
    }
  }
  return tensors;
}

/** Tensor name -> file name. */
function readIndex(path: string): Map<string, string> {
  const { weight_map: map } = readObject(readTextFile(path), path);
  if (!isObject(map)) {
    throw new UffbError(`${path}: has no weight_map; get the file again`);
  }
  const places = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== "string")
      throw new UffbError(`${path}: weight_map of ${quoted(name)} is not a file's name`);
    places.set(name, file);
  }
  return places;
}
