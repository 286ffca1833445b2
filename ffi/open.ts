import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { UffbError } from "../lib/base/errors.ts";
import { type Bundle, extract } from "./extract.ts";
import { pruneCache } from "./prune.ts";

export type Koffi = typeof import("koffi");
/** Binds the library at `path`. */
type Bind<T> = (koffi: Koffi, path: string) => T;

/** What the compiled binary holds, beside its program. */
export interface Embedded {
  /** koffi's native half and libuffb.so. */
  engine: Bundle;
  /** libuffb_cuda.so, where it was built. */
  cuda?: Bundle;
}

let embedded: Embedded | undefined;
let koffi: Koffi | undefined;

/** Called by the compiled binary's entry, before anything is loaded. */
export function embed(bundles: Embedded): void {
  embedded = bundles;
}

/**
 * Finds koffi and the engine, beside this file in a checkout or inside the compiled binary, and binds the engine.
 *
 * @throws UffbError, and what `bind` throws
 */
export function openLibrary<T>(bind: Bind<T>): T {
  if (embedded === undefined) {
    const path = built("libuffb.so");
    if (!existsSync(path)) throw new UffbError(`${path} is missing; run npm run build`);
    koffi = createRequire(import.meta.url)("koffi") as Koffi;
    return bind(koffi, path);
  }
  // koffi's own loader looks for its native half at paths of its package, which a compiled binary does not have, and at a few
  // absolute ones, which are not ours. We load its native half ourselves; the rest of the package only supports old names.
  const library = extract("the engine", embedded.engine, (paths) => {
    const native = { exports: {} };
    process.dlopen(native, paths["koffi.node"]!);
    koffi = native.exports as Koffi;
    return bind(koffi, paths["libuffb.so"]!);
  });
  pruneCache();
  return library;
}

/**
 * Finds the CUDA library in the same places and binds it. The engine was opened before: both share its koffi. Until then not a byte of
 * the library is read.
 *
 * @throws UffbError when it was not built or cannot be loaded, and what `bind` throws
 */
export function openCuda<T>(bind: Bind<T>): T {
  if (koffi === undefined) throw new UffbError("the engine was not opened before the CUDA library");
  const own = koffi;
  const name = "libuffb_cuda.so";
  const path = built(name);
  if (embedded?.cuda !== undefined)
    return extract("the CUDA library", embedded.cuda, (paths) => bind(own, paths[name]!));
  if (embedded !== undefined || !existsSync(path)) {
    throw new UffbError(
      "this uffb was built without CUDA; build it where nvcc, the compiler of the CUDA toolkit, is: npm run build",
    );
  }
  try {
    return bind(own, path);
  } catch (error) {
    if (error instanceof UffbError) throw error;
    throw new UffbError(`${path} cannot be loaded (${(error as Error).message}); run npm run build`);
  }
}

/** A file that the build of a checkout makes. */
const built = (name: string) => fileURLToPath(new URL(`../build/${name}`, import.meta.url));
