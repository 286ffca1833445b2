import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { UffbError } from "../lib/base/errors.ts";

/** Native libraries inside the compiled binary, which the dynamic loader cannot read there. */
export interface Bundle {
  /** The path of each, by the name that its file gets. */
  files: Readonly<Record<string, string>>;
  /** Names these contents. */
  hash: string;
}

/**
 * Writes the libraries of a bundle to files of a folder, and loads them from there; messages call it `title`. They stay in the user's cache, so that later starts
 * find them; where that cannot be (no home, read-only, somebody else's, mounted noexec) they go to a new temporary folder, which is
 * removed once they are loaded. A file that is there already is used only if it equals what the binary holds.
 * Errors: UffbError naming each place that was tried and why it failed; UffbError thrown by `load` passes through.
 */
export function extract<T>(title: string, { files, hash }: Bundle, load: (folder: string) => T): T {
  const contents = Object.entries(files).map(([name, path]) => [name, readFileSync(path)] as const);
  const failures: string[] = [];
  for (const place of [cached, temporary]) {
    let folder: Folder | undefined;
    try {
      folder = place(hash);
      for (const [name, content] of contents) write(join(folder.path, name), content);
      return load(folder.path);
    } catch (error) {
      if (error instanceof UffbError) throw error;
      const { message } = error as Error;
      failures.push(folder === undefined ? message : `in ${folder.path}: ${message}`);
    } finally {
      if (folder?.temporary) rmSync(folder.path, { recursive: true, force: true });
    }
  }
  throw new UffbError(
    `cannot load ${title} (${failures.join("; ")}); set XDG_CACHE_HOME or TMPDIR to a folder of yours ` +
      "with free space that is not mounted read-only or noexec",
  );
}

interface Folder {
  path: string;
  temporary: boolean;
}

/** ~/.cache/uffb/HASH, where the XDG base directory specification puts such files. */
function cached(hash: string): Folder {
  const { XDG_CACHE_HOME, HOME } = process.env;
  const base = [XDG_CACHE_HOME, HOME && join(HOME, ".cache")].find((path) => path && isAbsolute(path));
  if (!base) throw new Error("HOME is not set");
  const root = existsSync(base) ? base : dirname(base);
  // Not in somebody else's home (sudo), nor where somebody else could put another folder in the place of ours.
  assertMine(root, 0o002);
  const ours = join(base, "uffb");
  const path = join(ours, hash);
  for (const folder of [ours, path]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    assertMine(folder, 0o022);
  }
  return { path, temporary: false };
}

function temporary(): Folder {
  return { path: mkdtempSync(join(tmpdir(), "uffb-")), temporary: true };
}

/** Throws unless `path` is a folder of this user that those with the mode bits `forbidden` may not write to. */
function assertMine(path: string, forbidden: number): void {
  const stat = statSync(path);
  if (!stat.isDirectory()) throw new Error(`${path} is not a folder`);
  if (stat.uid !== process.geteuid!()) throw new Error(`${path} belongs to another user`);
  if ((stat.mode & forbidden) !== 0) throw new Error(`${path} is writable by others`);
}

/** Makes `path` hold `content`. Another process may do the same at the same time: each renames a complete file into place. */
function write(path: string, content: Buffer): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() && content.equals(readFileSync(path))) return;
  const partial = `${path}.${process.pid}.${crypto.randomUUID()}`;
  const file = openSync(partial, "wx", 0o600);
  try {
    try {
      writeFileSync(file, content);
    } finally {
      closeSync(file);
    }
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}
