/**
 * How this program writes files. A regular file is replaced whole: the new one is written beside it under another name and takes its place
 * when it is complete, so that no other process ever sees half of it. Devices and FIFOs cannot be replaced that way: they are written to,
 * or refused.
 */
import { constants, existsSync, lstatSync, mkdirSync, realpathSync, renameSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { UffbError } from "./errors.ts";
import { withReason } from "./system.ts";
import { Temporary } from "./temporary.ts";

/** The place that a path leads to. A link is followed: it stays, and the file that it names is replaced. */
interface Target {
  path: string;
  /** A device, FIFO or socket. */
  special: boolean;
}

function targetOf(path: string): Target {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) {
    throw new UffbError(`${path}: is there already; remove it, or write to another place`);
  }
  if (found) return found.isFile() ? { path: realpathSync(path), special: false } : { path, special: true };
  if (lstatSync(path, { throwIfNoEntry: false })) {
    throw new UffbError(
      `${path}: is a link to a file that is not there; remove it, or write to another place`,
    );
  }
  if (!existsSync(dirname(path))) throw new UffbError(`${path}: cannot be written: no such folder`);
  return { path, special: false };
}

/** The same where a device or pipe will not do: for a file that is read again, or replaced several times. */
function fileTarget(path: string): string {
  const target = targetOf(path);
  if (target.special) {
    throw new UffbError(`${path}: is a device or a pipe, not a file; write to another place`);
  }
  return target.path;
}

function cannotWrite(path: string, error: unknown): unknown {
  return withReason(`${path}: cannot be written`, error);
}

/**
 * Makes a file or folder by way of a temporary one beside it: `make` gets the temporary's path, and only if it succeeds the result appears
 * under its own name. A file that was there is replaced; a folder is not. On failure nothing is left.
 *
 * @throws what `make` throws; UffbError for a device or pipe, and when the system refuses
 */
export async function makeWhole<T>(path: string, make: (temporary: string) => T | Promise<T>): Promise<T> {
  const target = fileTarget(path); // before the work, which may take a while
  using temporary = new Temporary(target);
  try {
    const result = await make(temporary.path);
    renameSync(temporary.path, target);
    return result;
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/**
 * Replaces a file's content. A device or pipe has the content written to it, as by `>` in a shell.
 *
 * @throws UffbError when the system refuses
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  if (!targetOf(path).special) {
    return makeWhole(path, (temporary) => write(temporary, constants.O_CREAT | constants.O_EXCL, content));
  }
  await write(path, 0, content).catch((error) => {
    throw cannotWrite(path, error);
  });
}

async function write(path: string, flags: number, content: string | Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY | flags);
  try {
    await file.writeFile(content);
  } finally {
    await file.close();
  }
}

/**
 * Finds out, before long work, whether makeWhole can put a file at `path`. Nothing is there afterwards that was not there before.
 *
 * @throws UffbError where it could not
 */
export function checkWritable(path: string): void {
  using temporary = new Temporary(fileTarget(path));
  try {
    mkdirSync(temporary.path);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/** A folder beside `path` for as long as it is in use. */
export class FolderBeside extends Temporary {
  constructor(path: string) {
    super(path);
    mkdirSync(this.path, { mode: 0o700 });
  }
}
