import { closeSync, openSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UffbError } from "../lib/base/errors.ts";
import { memoryFile } from "./libc.ts";

/** Native libraries inside the compiled binary, where the dynamic loader cannot read them: the path of each there, by its name. */
export type Bundle = Readonly<Record<string, string>>;

/** Where a library can be put: how messages call the place, and how a new, empty file is opened there. */
type Place = readonly [place: string, open: (name: string) => number];

const PLACES: readonly Place[] = [
  ["in memory", memoryFile],
  ["in a temporary file", openTemporary],
];

/**
 * Copies the libraries of a bundle to where they can be loaded from, and calls `load` with the path of each; messages call them `title`.
 * Each goes to a file that has no name: to memory, or where the system does not allow that, to the temporary folder. So what is loaded
 * is what the binary holds, whoever else may write to the user's folders, and nothing stays behind.
 * @throws UffbError naming each place that was tried and why it failed; UffbError thrown by `load` passes through
 */
export function extract<T>(title: string, bundle: Bundle, load: (paths: Record<string, string>) => T): T {
  const contents = Object.entries(bundle).map(([name, path]) => [name, readFileSync(path)] as const);
  const failures: string[] = [];
  for (const [place, open] of PLACES) {
    try {
      // Not closed: the loader knows libraries by their paths, and would take another file of the same number for this one.
      const paths = contents.map(([name, content]) => [name, `/proc/self/fd/${filled(open(name), content)}`]);
      return load(Object.fromEntries(paths));
    } catch (error) {
      if (error instanceof UffbError) throw error;
      failures.push(`${place}: ${(error as Error).message}`);
    }
  }
  throw new UffbError(
    `cannot load ${title} (${failures.join("; ")}); set TMPDIR to a folder of yours with free space that is not mounted ` +
      "read-only or noexec",
  );
}

function filled(file: number, content: Buffer): number {
  try {
    writeFileSync(file, content);
    return file;
  } catch (error) {
    closeSync(file); // with the space that it takes on a full disk
    throw error;
  }
}

function openTemporary(): number {
  const path = join(tmpdir(), `uffb-${crypto.randomUUID()}`);
  const file = openSync(path, "wx+", 0o700);
  unlinkSync(path);
  return file;
}
