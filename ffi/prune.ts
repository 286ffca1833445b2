import { lstatSync, readdirSync, realpathSync, rmdirSync, statSync, unlinkSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** What a folder of an earlier version holds: libraries, and pieces of them where it was killed. */
const LIBRARY = /^(koffi\.node|libuffb\.so|libuffb_cuda\.so)(\.\d+\.[0-9a-f-]{36})?$/;
const VERSION = /^[0-9a-f]{32}$/;

/**
 * Removes the libraries that earlier versions left in the user's cache (uffb/HASH in $XDG_CACHE_HOME or ~/.cache), and nothing else. A
 * cache that somebody else could move about is left alone, and so is what cannot be removed.
 */
export function pruneCache(): void {
  const { XDG_CACHE_HOME, HOME } = process.env;
  const base = [XDG_CACHE_HOME, HOME && join(HOME, ".cache")].find((path) => path && isAbsolute(path));
  if (!base) return;
  const cache = join(base, "uffb");
  try {
    if (!lstatSync(cache, { throwIfNoEntry: false })?.isDirectory() || !isPrivate(cache)) return;
    for (const version of readdirSync(cache)) {
      const folder = join(cache, version);
      if (!VERSION.test(version) || !lstatSync(folder).isDirectory()) continue;
      for (const name of readdirSync(folder)) if (LIBRARY.test(name)) unlinkSync(join(folder, name));
      rmdirSync(folder);
    }
    rmdirSync(cache);
  } catch {
    // Another process prunes it too, or something of the user's lies there.
  }
}

/** Whether `path` is this user's, and nobody else can write to it or put something else in its place. */
export function isPrivate(path: string): boolean {
  const user = process.geteuid!();
  const own = statSync(path);
  if (own.uid !== user || (own.mode & 0o022) !== 0) return false;
  for (let folder = realpathSync(path); folder !== "/"; ) {
    folder = dirname(folder);
    const { uid, mode } = statSync(folder);
    if ((uid !== user && uid !== 0) || ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)) return false;
  }
  return true;
}
