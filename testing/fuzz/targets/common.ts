import { globSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeUtf8 } from "../../../lib/base/read.ts";

export interface Target {
  seeds(): Promise<Uint8Array[]>;
  /** Reads a file of this kind and uses what it gives; throws UffbError to refuse it. */
  read(bytes: Uint8Array): void | Promise<void>;
}

export const FIXTURES = fileURLToPath(new URL("../../../fixtures/", import.meta.url));

export const files = async (pattern: string) =>
  globSync(pattern, { cwd: FIXTURES })
    .sort()
    .map((file) => new Uint8Array(readFileSync(join(FIXTURES, file))));

/** As text; refused when it is none. */
export const decode = (bytes: Uint8Array) => decodeUtf8(bytes, "case");

export const encode = (text: string) => new TextEncoder().encode(text);

/** A reader of files by their names, called with the bytes. */
export function withFile(name: string, use: (path: string) => void | Promise<void>): Target["read"] {
  return async (bytes) => {
    const path = join(ownFolder(), name);
    writeFileSync(path, bytes);
    try {
      await use(path);
    } finally {
      // Another file each time: a mapping of the last one may be there still.
      unlinkSync(path);
    }
  };
}

let folder: string | undefined;

/** Of this process, for as long as it runs. */
export function ownFolder(): string {
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), "uffb-fuzz-"));
    const own = folder;
    process.once("exit", () => rmSync(own, { recursive: true }));
  }
  return folder;
}
