/**
 * Files that are mapped instead of read. A mapping shows what its file holds now: what others write to it, and nothing where they cut it
 * short. That is found by the file's size and time of change, after each call of the engine; meanwhile the engine catches the SIGBUS of
 * what is gone. A file that is replaced as a whole, by another of its name, keeps its old contents for whoever has mapped it.
 */
import { type BigIntStats, statSync } from "node:fs";
import { ChangedError } from "../../../ffi/status.ts";
import { UffbError } from "../../base/errors.ts";
import { cannotRead, checkRegular } from "../../base/read.ts";

class MappedFile {
  constructor(
    readonly path: string,
    readonly status: BigIntStats,
  ) {}

  isUnchanged(): boolean {
    const { dev, ino, size, mtimeNs } = this.status;
    const now = statSync(this.path, { bigint: true, throwIfNoEntry: false });
    if (now === undefined || now.dev !== dev || now.ino !== ino) return true;
    return now.size === size && now.mtimeNs === mtimeNs;
  }
}

const files = new WeakMap<ArrayBufferLike, MappedFile>();

/** Maps a file of at least one byte, read-only. The mapping lives as long as any view of it. */
export function mapFile(path: string): Uint8Array {
  try {
    const status = statSync(path, { bigint: true });
    if (checkRegular(path, status) === 0n) throw new UffbError(`${path}: is empty; download it again`);
    const bytes = Bun.mmap(path, { shared: false });
    files.set(bytes.buffer, new MappedFile(path, status));
    return bytes;
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** Makes a check of the mapped files that tensors lie in: it throws ChangedError where one was changed since it was mapped. */
export function unchanged(tensors: Iterable<{ data: Uint8Array; copied?: boolean }>): () => void {
  const mapped = new Set<MappedFile>();
  for (const tensor of tensors) {
    const file = tensor.copied ? undefined : files.get(tensor.data.buffer);
    if (file) mapped.add(file);
  }
  return () => {
    for (const file of mapped) {
      if (file.isUnchanged()) continue;
      throw new ChangedError(
        `${file.path}: was changed while it was in use; run again, and put a new file in its place instead of writing into it`,
      );
    }
  };
}
