import { createReadStream } from "node:fs";

/** A hash that a file's bytes must have. */
export interface Digest {
  /** `git-sha1` is git's blob id: sha1 of "blob ", the size in decimal, a zero byte, and the bytes. */
  algorithm: "sha256" | "git-sha1";
  hex: string;
}

/** Hashes a file of `size` bytes as it lies on the disk; lowercase hex. */
export async function hashFile(
  path: string,
  size: number,
  algorithm: Digest["algorithm"],
  signal?: AbortSignal,
): Promise<string> {
  const hasher = new Bun.CryptoHasher(algorithm === "sha256" ? "sha256" : "sha1");
  if (algorithm === "git-sha1") hasher.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    signal?.throwIfAborted();
    hasher.update(chunk as Uint8Array);
  }
  return hasher.digest("hex");
}
