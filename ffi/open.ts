import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { UffbError } from "../lib/errors.ts";
import { type Embedded, extract } from "./extract.ts";

export type Koffi = typeof import("koffi");
/** Binds the library at `path`. */
type Bind<T> = (koffi: Koffi, path: string) => T;

let embedded: Embedded | undefined;

/** Called by the compiled binary's entry, before anything is loaded. */
export function embed(files: Embedded): void {
  embedded = files;
}

/**
 * Finds koffi and the engine, beside this file in a checkout or inside the compiled binary, and binds the engine.
 * Errors: UffbError, and what `bind` throws.
 */
export function openLibrary<T>(bind: Bind<T>): T {
  const require = createRequire(import.meta.url);
  if (embedded === undefined) {
    const path = fileURLToPath(new URL("../build/libuffb.so", import.meta.url));
    if (!existsSync(path)) throw new UffbError(`${path} is missing; run npm run build`);
    return bind(require("koffi"), path);
  }
  // koffi's own loader looks for its native half at paths of its package, which a compiled binary does not have, and at a few
  // absolute ones, which are not ours. Its native half is all there is to it; the rest of the package deprecates old names.
  return extract(embedded, (files) => bind(require(files.koffi), files.engine));
}
