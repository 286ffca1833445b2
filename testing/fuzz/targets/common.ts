import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
    const folder = mkdtempSync(join(tmpdir(), "uffb-fuzz-"));
    try {
      const path = join(folder, name);
      writeFileSync(path, bytes);
      await use(path);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}
