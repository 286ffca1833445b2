/** The models of fixtures/heads, which share encoders: each test gets a whole folder. */
import { cpSync, readFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TemporaryFolder } from "./folders.ts";

export const HEADS = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));

/** Copies these folders and files of fixtures/heads into a new folder, later ones over earlier ones. */
export function assembled(...parts: readonly string[]): TemporaryFolder {
  const folder = new TemporaryFolder();
  for (const part of parts) {
    const target = extname(part) === "" ? folder.path : folder.file(basename(part));
    cpSync(join(HEADS, part), target, { recursive: true });
  }
  return folder;
}

/** The rows of vectors.json or labels.json. */
export function rowsOf<T>(name: string): T[] {
  return JSON.parse(readFileSync(join(HEADS, name), "utf8"));
}
