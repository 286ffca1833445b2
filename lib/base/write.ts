import { existsSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UffbError } from "./errors.ts";

/**
 * Makes a file or folder by way of a temporary one beside it, so that nobody ever sees it half-made: `make` gets the temporary's path, and
 * only if it succeeds the result appears under its own name. A file that was there is replaced; a folder is not. On failure nothing is left.
 * Errors: those of `make`; UffbError when the system refuses.
 */
export async function makeWhole<T>(path: string, make: (temporary: string) => T | Promise<T>): Promise<T> {
  // Not when the work is done: it may take a while.
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UffbError(`${path}: is there already; remove it, or write to another place`);
  }
  if (!existsSync(dirname(path))) throw new UffbError(`${path}: cannot be written: no such folder`);
  const temporary = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}.tmp`);
  const clear = () => rmSync(temporary, { recursive: true, force: true });
  process.once("exit", clear); // an interrupt ends the program on the spot
  try {
    const result = await make(temporary);
    renameSync(temporary, path);
    return result;
  } catch (error) {
    clear();
    if (error instanceof UffbError || (error as { code?: string }).code === undefined) throw error;
    throw new UffbError(`${path}: cannot be written: ${(error as Error).message}`, { cause: error });
  } finally {
    process.off("exit", clear);
  }
}

/** A folder beside `path` for as long as it is in use. */
export class FolderBeside implements Disposable {
  readonly path: string;
  readonly #clear = () => rmSync(this.path, { recursive: true, force: true });

  constructor(path: string) {
    this.path = mkdtempSync(join(dirname(path), `.${basename(path)}.`));
    process.once("exit", this.#clear);
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#clear);
    this.#clear();
  }
}
