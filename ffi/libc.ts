/** Calls of the C library that this process already runs on, for what Node's modules cannot do. */
import { dlopen, type Pointer, toArrayBuffer } from "bun:ffi";

/** Of glibc or musl. */
const NAMES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
const MFD_CLOEXEC = 1;
const PROT_READ = 1;
const MAP_PRIVATE = 2;

/** A new, empty file in memory; `name` shows in /proc/PID/maps. @throws Error where the system gives none */
export function memoryFile(name: string): number {
  const file = open({ memfd_create: { args: ["cstring", "u32"], returns: "i32" } })?.memfd_create(
    Buffer.from(`${name}\0`),
    MFD_CLOEXEC,
  );
  if (file === undefined || file < 0) throw new Error("this system gives none");
  return file;
}

/**
 * Maps `size` bytes of an open file, read-only, as long as the process lives; `offset` is a multiple of the page size. Bun.mmap wants to
 * write, and the system lets nobody write to a program that runs. Undefined where the system refuses.
 */
export function mapRange(file: number, offset: number, size: number): Uint8Array<ArrayBuffer> | undefined {
  const address = open({
    mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
  })?.mmap(null, size, PROT_READ, MAP_PRIVATE, file, offset);
  // MAP_FAILED is -1.
  if (!address || address >= 2 ** 63) return undefined;
  return new Uint8Array(toArrayBuffer(address as Pointer, 0, size));
}

type Symbols = Parameters<typeof dlopen>[1];

function open<S extends Symbols>(symbols: S): ReturnType<typeof dlopen<S>>["symbols"] | undefined {
  for (const name of NAMES) {
    try {
      return dlopen(name, symbols).symbols;
    } catch {
      // The other one, then.
    }
  }
  return undefined;
}
