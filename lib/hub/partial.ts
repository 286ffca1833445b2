import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
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

/** The parts of a blob that dead downloads left in `folder`, largest first. */
export async function leftovers(folder: string, etag: string): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(`${etag}.`) || !name.endsWith(SUFFIX)) continue;
    const path = join(folder, name);
    const info = await stat(path).catch(() => undefined);
    if (info?.isFile() !== true) continue;
    if (isAbandoned(name.slice(0, -SUFFIX.length), info.mtimeMs, ABANDONED_MS))
      found.push({ path, size: info.size });
  }
  return found.sort((a, b) => b.size - a.size);
}

/** A path in `folder` that only this process uses; it holds the first bytes of the blob when a dead download left some. */
export async function claimPartial(folder: string, etag: string, size: number): Promise<string> {
  const path = join(folder, `${etag}.${ownName()}${SUFFIX}`);
  for (const leftover of await leftovers(folder, etag)) {
    if (leftover.size > size) continue;
    const taken = await rename(leftover.path, path).then(
      () => true,
      () => false, // another process was first
    );
    if (taken) break;
  }
  return path;
}

/** Removes what dead downloads of a blob left behind, once it is complete. */
export async function sweepPartials(folder: string, etag: string): Promise<void> {
  for (const { path } of await leftovers(folder, etag)) await rm(path, { force: true }).catch(() => {});
}
