import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { isAbandoned, ownName } from "../base/owner.ts";

// A download goes to ETAG.MACHINE-PID-CHANCE.incomplete, a name of its own: two processes never write to one file, and need
// no lock (flock lies on some network file systems). The price is that both fetch the bytes. A file whose process is gone
// is taken over by renaming it, which only one process can do, and its bytes are not fetched again.

const SUFFIX = ".incomplete";
/** A file of another machine or program (Python's have no process id) counts as left behind after this time. */
const ABANDONED_MS = 3_600_000;

interface Leftover {
  path: string;
  size: number;
}

/** The parts of blobs in one folder: what dead downloads left when this one began, and what it makes. */
export class Partials {
  private constructor(
    readonly folder: string,
    /** By ETag, largest first. */
    private readonly left: ReadonlyMap<string, readonly Leftover[]>,
  ) {}

  /** Lists the folder, once: there may be thousands of files. */
  static async in(folder: string): Promise<Partials> {
    const found: Leftover[] = [];
    for (const name of await readdir(folder).catch(() => [])) {
      if (!name.endsWith(SUFFIX)) continue;
      const path = join(folder, name);
      const info = await stat(path).catch(() => undefined);
      if (info?.isFile() !== true) continue;
      if (isAbandoned(name.slice(0, -SUFFIX.length), info.mtimeMs, ABANDONED_MS))
        found.push({ path, size: info.size });
    }
    found.sort((a, b) => b.size - a.size);
    return new Partials(
      folder,
      Map.groupBy(found, ({ path }) => basename(path).split(".", 1)[0]!),
    );
  }

  /** Bytes of a blob that need not be fetched again. */
  have(etag: string, size: number): number {
    return this.#left(etag).find((leftover) => leftover.size <= size)?.size ?? 0;
  }

  /** A path that only this process uses; it holds the first bytes of the blob when a dead download left some. */
  async claim(etag: string, size: number): Promise<string> {
    const path = this.another(etag);
    for (const leftover of this.#left(etag)) {
      if (leftover.size > size) continue;
      const taken = await rename(leftover.path, path).then(
        () => true,
        () => false, // another process was first
      );
      if (taken) break;
    }
    return path;
  }

  /** The same, empty. */
  another(etag: string): string {
    return join(this.folder, `${etag}.${ownName()}${SUFFIX}`);
  }

  /** Removes what dead downloads of a blob left behind, once it is complete. */
  async sweep(etag: string): Promise<void> {
    for (const { path } of this.#left(etag)) await rm(path, { force: true }).catch(() => {});
  }

  #left(etag: string): readonly Leftover[] {
    return this.left.get(etag) ?? [];
  }
}
