/** Files of text as they lie there, also packed: their bytes, and what they are called by. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { UffbError } from "../../base/errors.ts";
import { cannotRead, checkRegular } from "../../base/read.ts";

/** Bytes read at once. */
const CHUNK = 1 << 20;
/** Most memory that `xz` may take: its own default preset needs 9 MB, its largest dictionary 1.5 GiB. */
const XZ_MEMORY = "1GiB";

/** SHA-256 of a file, in hexadecimal. @throws UffbError when it is no regular file or cannot be read */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stored(path)) hash.update(chunk);
  return hash.digest("hex");
}

/**
 * The bytes of a file, unpacked where its name ends in .gz or .xz, a piece at a time. What is read is never held: memory does not grow with
 * the file. xz is unpacked by the system's `xz`: Bun has none, and the packages for it are unmaintained or need a compiler.
 * @throws UffbError when it is no regular file, cannot be read, or is damaged
 */
export async function* unpacked(path: string): AsyncGenerator<Uint8Array> {
  if (/\.xz$/i.test(path)) yield* byXz(path);
  else if (/\.gz$/i.test(path)) yield* byGunzip(path);
  else yield* stored(path);
}

async function* stored(path: string): AsyncGenerator<Uint8Array> {
  try {
    checkRegular(path, await stat(path));
    yield* createReadStream(path, { highWaterMark: CHUNK });
  } catch (error) {
    throw cannotRead(path, error);
  }
}

async function* byGunzip(path: string): AsyncGenerator<Uint8Array> {
  checkRegular(
    path,
    await stat(path).catch((error) => {
      throw cannotRead(path, error);
    }),
  );
  const source = createReadStream(path, { highWaterMark: CHUNK });
  const out = createGunzip();
  source.on("error", (error) => out.destroy(error));
  try {
    yield* source.pipe(out);
  } catch (error) {
    throw new UffbError(`${path}: cannot be unpacked as gzip: ${(error as Error).message}`, { cause: error });
  } finally {
    source.destroy();
    out.destroy();
  }
}

async function* byXz(path: string): AsyncGenerator<Uint8Array> {
  checkRegular(
    path,
    await stat(path).catch((error) => {
      throw cannotRead(path, error);
    }),
  );
  const child = spawnXz(path);
  try {
    yield* child.stdout;
    const [code, text] = [await child.exited, await child.stderr.text()];
    if (code !== 0)
      throw new UffbError(
        `${path}: cannot be unpacked as xz: ${text.trim().split(": ").at(-1) || `xz ended with ${code}`}`,
      );
  } finally {
    child.kill();
  }
}

function spawnXz(path: string) {
  try {
    return Bun.spawn(["xz", "-dc", `--memlimit-decompress=${XZ_MEMORY}`, "--", path], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  } catch (error) {
    throw new UffbError(
      `${path}: needs the program xz to be unpacked; install it (Debian: xz-utils), or unpack the file first`,
      { cause: error },
    );
  }
}
