import { lstat, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { isFileOfSize, placePointer, repoFolder, tagCacheFolder, writeRef } from "./cache.ts";
import type { HubFile } from "./listing.ts";
import type { Repo } from "./names.ts";
import type { Partials } from "./partial.ts";
import { hashFile } from "./verify.ts";

/** Where a download goes: the shared cache, or a folder of plain files (local-dir.ts). */
export interface Target {
  /** The folder that the user gets: the snapshot, or the local folder. */
  readonly result: string;
  /** Where partial files lie; on the same disk as their final place. */
  readonly partials: string;
  /** True when the file's bytes are there and need no download. */
  has(file: HubFile): Promise<boolean>;
  /** A file that should have the same bytes already, to copy instead of fetching. It is verified like what is fetched. */
  copyOf(file: HubFile): Promise<string | undefined>;
  /** Moves a complete and verified partial file to the place of these files, which all have its bytes. */
  store(partial: string, files: HubFile[], partials: Partials): Promise<void>;
  /** Called once, when all the files are there. */
  finish(files: HubFile[]): Promise<void>;
}

/** Whether a file has the right bytes: a size alone would trust whatever went wrong on the disk, or by somebody's hand, for ever. */
export async function holds(path: string, { size, digest }: HubFile): Promise<boolean> {
  if (!(await isFileOfSize(path, size))) return false;
  return (await hashFile(path, size, digest.algorithm).catch(() => "")) === digest.hex;
}

/** The cache of huggingface_hub. Bytes first, links next, the ref last: an interrupted download leaves no half snapshot. */
export class CacheTarget implements Target {
  readonly result: string;
  readonly partials: string;
  readonly #folder: string;

  constructor(
    readonly cacheDir: string,
    repo: Repo,
    readonly revision: string,
    readonly commit: string,
  ) {
    this.#folder = repoFolder(cacheDir, repo);
    this.partials = join(this.#folder, "blobs");
    this.result = join(this.#folder, "snapshots", commit);
  }

  async has(file: HubFile): Promise<boolean> {
    // Where links are not possible, Python keeps the bytes in the snapshot and has no blob.
    return (await holds(this.#blob(file), file)) || (await holds(join(this.result, file.path), file));
  }

  async copyOf(): Promise<undefined> {}

  async store(partial: string, files: HubFile[]): Promise<void> {
    await rename(partial, this.#blob(files[0]!));
    for (const file of files) {
      const pointer = join(this.result, file.path);
      if ((await lstat(pointer).catch(() => undefined))?.isFile()) await rm(pointer, { force: true }); // an old copy
    }
  }

  async finish(files: HubFile[]): Promise<void> {
    for (const file of files) {
      const pointer = join(this.result, file.path);
      // Links that are right stay: the cache may be read-only.
      if (await isFileOfSize(pointer, file.size)) continue;
      await placePointer(this.#blob(file), pointer);
    }
    await writeRef(this.#folder, this.revision, this.commit);
    await tagCacheFolder(this.cacheDir);
  }

  #blob(file: HubFile): string {
    return join(this.partials, file.digest.hex);
  }
}
