/** Models by the names that people call them. */
import { readdirSync } from "node:fs";
import { UffbError } from "../base/errors.ts";
import { cachedSnapshot, requireSnapshot } from "./cache.ts";
import { hubEnvironment } from "./environment.ts";

/** Short names of public models that run here, and the repositories they stand for. */
export const SHORT_NAMES: Readonly<Record<string, string>> = {
  ultrafastbert: "pbelcak/UltraFastBERT-1x11-long",
  "all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
  "all-MiniLM-L12-v2": "sentence-transformers/all-MiniLM-L12-v2",
  "bge-small-en-v1.5": "BAAI/bge-small-en-v1.5",
  "gte-small": "thenlper/gte-small",
  "bert-base-uncased": "google-bert/bert-base-uncased",
  "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
  "roberta-base": "FacebookAI/roberta-base",
  sst2: "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
  mrpc: "Intel/bert-base-uncased-mrpc",
};

/** A name that can only be a path: with more than one slash, or ending as files and folders do. */
const PATH_ONLY = /\/.*\/|^\/|\/$|^\.|\.(safetensors|bin|pth?|ckpt|json)$/;

/** The repository that a name stands for: the one of a short name, or "organisation/name" itself. Undefined for others. */
export function repositoryOf(name: string): string | undefined {
  if (PATH_ONLY.test(name)) return undefined;
  const short = Object.keys(SHORT_NAMES).find((key) => key.toLowerCase() === name.toLowerCase());
  return short === undefined ? (name.includes("/") ? name : undefined) : SHORT_NAMES[short];
}

/**
 * The cached folder of a model that is called by its repository's name, the last part of it, or a short name.
 * @throws UffbError when it is not in the cache, saying how to get it, or when several are called so
 */
export function requireModel(name: string): string {
  const missing = `${name}: no such file or folder`;
  if (PATH_ONLY.test(name)) throw new UffbError(missing);
  const repository = repositoryOf(name);
  const folder = findCached(name, repository);
  if (folder !== undefined) return folder;
  if (repository === undefined)
    throw new UffbError(
      `${missing}, no downloaded model and no short name; on the hub, models are called ORGANISATION/NAME, and "uffb download --help" lists the short names`,
    );
  try {
    return requireSnapshot(repository);
  } catch (error) {
    if (error instanceof UffbError) throw new UffbError(`${missing}; ${error.message}`, { cause: error });
    throw error;
  }
}

function findCached(name: string, repository: string | undefined): string | undefined {
  if (name.includes("/")) return undefined;
  const own = tryCached(name) ?? (repository === undefined ? undefined : tryCached(repository));
  if (own !== undefined) return own;
  const called = cachedNames().filter((full) => full.split("/").at(-1)!.toLowerCase() === name.toLowerCase());
  const there = called.filter((full) => tryCached(full) !== undefined);
  if (there.length > 1)
    throw new UffbError(`${name}: several downloaded models are called so; say which: ${there.join(", ")}`);
  return there[0] === undefined ? undefined : tryCached(there[0]);
}

/** A name that cannot be a repository is not in the cache. */
function tryCached(name: string): string | undefined {
  try {
    return cachedSnapshot(name);
  } catch {
    return undefined;
  }
}

/** Repositories that the cache has a folder for. */
function cachedNames(): string[] {
  try {
    return readdirSync(hubEnvironment().cacheDir)
      .filter((folder) => folder.startsWith("models--"))
      .map((folder) => folder.slice("models--".length).replaceAll("--", "/"))
      .sort();
  } catch {
    return []; // there is no cache yet
  }
}
