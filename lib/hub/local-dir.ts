import { constants } from "node:fs";
import { copyFile, mkdir, readFile, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeWhole } from "../base/write.ts";
import { isFileOfSize, tagCacheFolder, writeIfMissing } from "./cache.ts";
import type { HubFile } from "./listing.ts";
import type { Partials } from "./partial.ts";
import { holds, type Target } from "./target.ts";

/**
 * A folder of plain files. What is known about each lies beside them in `.cache/huggingface/download/PATH.metadata`, as
 * huggingface_hub has it: the commit, the ETag, and when the file was right (unix seconds), a line each.
 */
export class LocalTarget implements Target {
  readonly partials: string;
  readonly #notes: string;

  constructor(
    readonly result: string,
    readonly commit: string,
    /** The blobs of the same repository in the cache. */
    readonly blobs: string,
  ) {
    this.#notes = join(result, ".cache", "huggingface");
    this.partials = join(this.#notes, "download");
  }

  /** A file that was changed after its note, or has none, is hashed: it may be right all the same. */
  async has(file: HubFile): Promise<boolean> {
    const path = join(this.result, file.path);
    if (!(await isFileOfSize(path, file.size))) return false;
    const note = await readFile(this.#note(file), "utf8").catch(() => "");
    const [, etag, seconds] = note.split("\n");
    const written = (await stat(path)).mtimeMs / 1000;
    if (etag === file.digest.hex && written - 1 <= Number(seconds)) return true;
    return holds(path, file);
  }

  async copyOf(file: HubFile): Promise<string | undefined> {
    const blob = join(this.blobs, file.digest.hex);
    return (await isFileOfSize(blob, file.size)) ? blob : undefined;
  }

  async store(partial: string, files: HubFile[], partials: Partials): Promise<void> {
    const [first, ...others] = files.map((file) => join(this.result, file.path));
    for (const path of others) {
      await mkdir(dirname(path), { recursive: true });
      const copy = partials.another(files[0]!.digest.hex);
      await copyFile(partial, copy, constants.COPYFILE_FICLONE);
      await rename(copy, path);
    }
    await mkdir(dirname(first!), { recursive: true });
    await rename(partial, first!);
    for (const file of files) await this.#writeNote(file);
  }

  async finish(files: HubFile[]): Promise<void> {
    for (const file of files) await this.#writeNote(file);
    await writeIfMissing(join(this.#notes, ".gitignore"), "*");
    await tagCacheFolder(this.#notes);
  }

  async #writeNote(file: HubFile): Promise<void> {
    const path = this.#note(file);
    const lines = `${this.commit}\n${file.digest.hex}\n`;
    if ((await readFile(path, "utf8").catch(() => "")).startsWith(lines)) return;
    await mkdir(dirname(path), { recursive: true });
    await writeWhole(path, `${lines}${Date.now() / 1000}\n`);
  }

  #note(file: HubFile): string {
    return join(this.partials, `${file.path}.metadata`);
  }
}
