/**
 * How this program reads files that others have made, whoever named them. What is found in a folder must be a regular file: opening a FIFO
 * would wait for ever, and a device may never end. Each is opened before it is looked at, so that nobody can put another in its place between.
 */
import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync, realpathSync } from "node:fs";
import { open } from "node:fs/promises";
import { sep } from "node:path";
import { UffbError } from "./errors.ts";
import { withReason } from "./system.ts";

export interface ReadOptions {
  /** Most bytes; a larger file is refused. */
  most: number;
  /** Folders one of which the file must lie in, whatever links lead to it. */
  inside?: readonly string[];
}

/** What stopped somebody from reading a file, in the user's words. */
export const cannotRead = (path: string, error: unknown) =>
  (error as NodeJS.ErrnoException).code === "ENOENT"
    ? new UffbError(`${path}: no such file`, { cause: error })
    : withReason(`${path}: cannot be read`, error);

/**
 * The bytes of a regular file.
 *
 * @throws UffbError when it is none, too large, outside the folders that it should be in, or cannot be read
 */
export function readRegular(path: string, { most, inside }: ReadOptions): Uint8Array<ArrayBuffer> {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const size = checkRegular(path, fstatSync(file));
    if (inside) checkInside(path, file, inside);
    if (size > most) throw tooLarge(path, size, most);
    const bytes = new Uint8Array(size);
    let done = 0;
    for (let read = 1; read > 0 && done < size; done += read)
      read = readSync(file, bytes, done, size - done, done);
    return bytes.subarray(0, done);
  } catch (error) {
    throw cannotRead(path, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** The same as text. @throws UffbError also when it is not UTF-8 */
export function readRegularText(path: string, options: ReadOptions): string {
  return decodeUtf8(readRegular(path, options), path);
}

/**
 * The bytes of what a user named: a regular file, or a pipe or device (`<(command)`, /dev/stdin), which is read to its end.
 *
 * @throws UffbError when it holds more than `most` bytes, is a folder, or cannot be read
 */
export async function readNamed(path: string, most: number): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const file = await open(path, "r");
    try {
      const status = await file.stat();
      if (status.isFile() && status.size > most) throw tooLarge(path, status.size, most);
      const pieces: Uint8Array[] = [];
      let size = 0;
      for (;;) {
        const piece = new Uint8Array(status.isFile() ? Math.max(1, status.size - size) : 1 << 16);
        const { bytesRead } = await file.read(piece, 0, piece.length, null);
        if (bytesRead === 0) break;
        size += bytesRead;
        if (size > most) throw tooLarge(path, undefined, most);
        pieces.push(piece.subarray(0, bytesRead));
      }
      return pieces.length === 1
        ? (pieces[0] as Uint8Array<ArrayBuffer>)
        : new Uint8Array(Buffer.concat(pieces));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw cannotRead(path, error);
  }
}

export function decodeUtf8(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UffbError(`${source}: is not UTF-8 text; get the file again`, { cause: error });
  }
}

/** Gives the size of a regular file. @throws UffbError for anything else */
export function checkRegular<Size extends number | bigint>(
  path: string,
  status: { isFile(): boolean; isDirectory(): boolean; size: Size },
): Size {
  if (status.isFile()) return status.size;
  throw new UffbError(`${path}: is ${status.isDirectory() ? "a folder" : "a device or a pipe"}, not a file`);
}

function checkInside(path: string, file: number, folders: readonly string[]): void {
  const place = placeOf(path, file);
  if (folders.some((folder) => place.startsWith(`${realpathSync(folder)}${sep}`))) return;
  throw new UffbError(
    `${path}: is a link to a file outside the folder; if it belongs to the model, copy it there`,
  );
}

/** Where an open file lies, links followed. */
function placeOf(path: string, file: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${file}`);
  } catch {
    return realpathSync(path); // not Linux
  }
}

function tooLarge(path: string, size: number | undefined, most: number): UffbError {
  const has = size === undefined ? "is too large" : `has ${size} bytes`;
  return new UffbError(`${path}: ${has}; at most ${most} are read`);
}
