import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { UffbError } from "../base/errors.ts";
import { formatBytes } from "../base/numbers.ts";

const REASONS: Record<string, string> = {
  ENOSPC: "the disk is full; free some space and run the command again, it goes on where it stopped",
  EDQUOT: "the disk quota is used up; free some space and run the command again, it goes on where it stopped",
  EROFS: "the disk is read-only; choose another place with --cache-dir or HF_HUB_CACHE",
  EACCES: "permission is denied; choose another place with --cache-dir or HF_HUB_CACHE",
  EPERM: "the operation is not permitted; choose another place with --cache-dir or HF_HUB_CACHE",
  ENOTDIR: "a part of the path is a file, not a folder; choose another place",
  EEXIST: "a file is where a folder should be; choose another place",
  EISDIR: "a folder is where a file should be; move it away",
  ENAMETOOLONG: "the path is too long; choose another place",
};

/** A file operation's failure in the user's words. Errors that are clear already pass. */
export function diskError(error: unknown, path: string): UffbError {
  if (error instanceof UffbError) return error;
  const code = String((error as NodeJS.ErrnoException).code ?? error);
  return new UffbError(`cannot write ${path}: ${REASONS[code] ?? code}`);
}

/**
 * Checks that `bytes` more fit on the disk that holds `folder`, which need not exist yet.
 * @throws UffbError
 */
export async function checkSpace(folder: string, bytes: number): Promise<void> {
  if (bytes === 0) return;
  for (let path = folder; ; path = dirname(path)) {
    const info = await statfs(path).catch(() => undefined);
    if (info === undefined && path !== dirname(path)) continue;
    // Some network file systems do not know their size and say 0.
    if (info === undefined || info.blocks === 0) return;
    const free = info.bavail * info.bsize;
    if (free >= bytes) return;
    throw new UffbError(
      `${formatBytes(bytes)} are to be written to ${folder}, but its disk has only ${formatBytes(free)} free; make room or choose another place`,
    );
  }
}
