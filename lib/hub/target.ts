import { lstat, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { isFileOfSize, placePointer, repoFolder, tagCacheFolder, writeRef } from "./cache.ts";
import type { HubFile } from "./listing.ts";
import type { Repo } from "./names.ts";

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
  store(partial: string, files: HubFile[]): Promise<void>;
  /** Called once, when all the files are there. */
  finish(files: HubFile[]): Promise<void>;
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
    return (
      (await isFileOfSize(this.#blob(file), file.size)) ||
      (await isFileOfSize(join(this.result, file.path), file.size))
    );
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
