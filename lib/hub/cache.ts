import { existsSync, statSync } from "node:fs";
import { copyFile, link, mkdir, readFile, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { UffbError } from "../base/errors.ts";
import { readRegularText } from "../base/read.ts";
import { Temporary } from "../base/temporary.ts";
import { writeWhole } from "../base/write.ts";
import { hubEnvironment } from "./environment.ts";
import { COMMIT, checkRevision, parseRepo, type Repo, type RepoType } from "./names.ts";

// The cache is the one of Python's huggingface_hub:
//   models--org--name/blobs/ETAG                  the bytes; ETAG is the sha256 of an LFS file, else git's blob id
//   models--org--name/snapshots/COMMIT/PATH       a relative link to ../../blobs/ETAG
//   models--org--name/refs/REVISION               the commit that a branch or tag had

export interface SnapshotOptions {
  type?: RepoType | undefined;
  revision?: string | undefined;
  cacheDir?: string | undefined;
}

/** The folder of one repository inside the cache. */
export function repoFolder(cacheDir: string, repo: Repo): string {
  return join(cacheDir, `${repo.type}s--${repo.name.replaceAll("/", "--")}`);
}

/**
 * The folder of a cached snapshot (absolute), or undefined when that revision (default `main`) was never downloaded.
 * Reads the disk only. A snapshot holds what its download selected, so a caller still checks for the files it needs.
 * @throws UsageError when the names cannot be a repository or a revision
 */
export function cachedSnapshot(name: string, options: SnapshotOptions = {}): string | undefined {
  const repo = parseRepo(name, options.type);
  const revision = checkRevision(options.revision ?? "main");
  const folder = repoFolder(hubEnvironment({ cacheDir: options.cacheDir }).cacheDir, repo);
  const commit = COMMIT.test(revision) ? revision : readRef(folder, revision);
  if (commit === undefined) return undefined;
  const snapshot = join(folder, "snapshots", commit);
  return statSync(snapshot, { throwIfNoEntry: false })?.isDirectory() ? snapshot : undefined;
}

/**
 * `cachedSnapshot`, or an error that says how to download.
 * @throws UffbError
 */
export function requireSnapshot(name: string, options: SnapshotOptions = {}): string {
  const snapshot = cachedSnapshot(name, options);
  if (snapshot !== undefined) return snapshot;
  const { cacheDir } = hubEnvironment({ cacheDir: options.cacheDir });
  const flags = [
    ...(options.type === "dataset" ? ["--dataset"] : []),
    ...(options.revision === undefined ? [] : ["--revision", options.revision]),
    ...(cacheDir === hubEnvironment().cacheDir ? [] : ["--cache-dir", cacheDir]),
  ];
  const command = ["uffb download", name, ...flags].join(" ");
  throw new UffbError(`${name} is not in the cache ${cacheDir}; download it first: ${command}`);
}

/** A commit, and perhaps an end of the line. */
const MAX_REF = 100;

function readRef(folder: string, revision: string): string | undefined {
  let text: string;
  try {
    text = readRegularText(join(folder, "refs", revision), { most: MAX_REF }).trim();
  } catch {
    return undefined;
  }
  return COMMIT.test(text) ? text : undefined;
}

/** Records which commit a branch or tag has; replaced in one step, so that a reader never sees half of it. */
export async function writeRef(folder: string, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const path = join(folder, "refs", revision);
  if ((await readFile(path, "utf8").catch(() => "")) === commit) return;
  await mkdir(dirname(path), { recursive: true });
  await writeWhole(path, commit);
}

/** True when `path`, links followed, is a file of exactly `size` bytes. */
export async function isFileOfSize(path: string, size: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true && found.size === size;
}

/**
 * Lets `pointer` show the bytes of `blob`: a relative symlink, so the cache may be moved; a hard link or, last, a copy on
 * file systems that have none. Two processes may do this at once: both want the same link.
 */
export async function placePointer(blob: string, pointer: string, makeLink = symlink): Promise<void> {
  await mkdir(dirname(pointer), { recursive: true });
  const target = relative(dirname(pointer), blob);
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await makeLink(target, pointer);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") break;
      if ((await readlink(pointer).catch(() => undefined)) === target) return;
      await rm(pointer, { force: true });
    }
  }
  using temporary = new Temporary(pointer);
  await link(blob, temporary.path).catch(() => copyFile(blob, temporary.path));
  await rename(temporary.path, pointer);
}

/** Marks a folder as a cache, so that backups skip it (https://bford.info/cachedir/); huggingface_hub does it too. */
export async function tagCacheFolder(folder: string): Promise<void> {
  const text =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Downloads from a Hugging Face hub: https://bford.info/cachedir/\n";
  await writeIfMissing(join(folder, "CACHEDIR.TAG"), text);
}

/** Writes a file that is good to have, where there is none and the folder can be written to. */
export async function writeIfMissing(path: string, text: string): Promise<void> {
  if (existsSync(path)) return;
  await writeWhole(path, text).catch(() => {}); // read-only
}
