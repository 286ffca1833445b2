import { createHash } from "node:crypto";
import { readlinkSync } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";

// A download goes to ETAG.MACHINE-PID-CHANCE.incomplete, a name of its own: two processes never write to one file, and need
// no lock (flock lies on some network file systems). The price is that both fetch the bytes. A file whose process is gone
// is taken over by renaming it, which only one process can do, and its bytes are not fetched again.

const SUFFIX = ".incomplete";
/** A file of another machine or program (Python's have no process id) counts as left behind after this time. */
const ABANDONED_MS = 3_600_000;

/** This host and its process id space: only here can a process id be looked up. */
const machine = createHash("sha256").update(`${hostname()} ${processSpace()}`).digest("hex").slice(0, 8);
/** Names made by this very process, whose id an earlier one may have had. */
const own = new Set<string>();

function processSpace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

interface Leftover {
  path: string;
  size: number;
}

/** The parts of a blob that dead downloads left in `folder`, largest first. */
export async function leftovers(folder: string, etag: string): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(`${etag}.`) || !name.endsWith(SUFFIX) || own.has(name)) continue;
    const path = join(folder, name);
    const info = await stat(path).catch(() => undefined);
    if (info?.isFile() !== true) continue;
    const [, where, pid] = /\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.incomplete$/.exec(name) ?? [];
    const dead = where === machine ? !isRunning(Number(pid)) : Date.now() - info.mtimeMs > ABANDONED_MS;
    if (dead) found.push({ path, size: info.size });
  }
  return found.sort((a, b) => b.size - a.size);
}

function isRunning(pid: number): boolean {
  if (pid === process.pid) return false; // `own` was asked before: the name is an earlier process's
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** A path in `folder` that only this process uses; it holds the first bytes of the blob when a dead download left some. */
export async function claimPartial(folder: string, etag: string, size: number): Promise<string> {
  const name = `${etag}.${machine}-${process.pid}-${crypto.randomUUID().slice(0, 8)}${SUFFIX}`;
  own.add(name);
  const path = join(folder, name);
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
