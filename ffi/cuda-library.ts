import { UffbError } from "../lib/base/errors.ts";
import { type Functions, OPAQUE, PROTOTYPES, STRUCTS, UFFB_CUDA_ABI_VERSION } from "./cuda-bindings.ts";
import { type Bindings, native } from "./library.ts";
import { type Koffi, openCuda } from "./open.ts";
import { check } from "./status.ts";

export type CudaLibrary = Bindings<Functions>;

let library: CudaLibrary | undefined;
let declared = false;

/**
 * The CUDA library, loaded when a device is first asked for.
 *
 * @throws UffbError when it was not built, cannot be loaded or is of another ABI version
 */
export function cuda(): CudaLibrary {
  native(); // whose types and koffi it shares
  library ??= openCuda(bindCuda);
  return library;
}

/** For tests: takes another build of the library from now on, or the usual one again. */
export function useCuda(other: CudaLibrary | undefined): void {
  library = other;
}

/** Declares the header's types to koffi, once, and binds every function. */
export function bindCuda(koffi: Koffi, path: string): CudaLibrary {
  const loaded = koffi.load(path);
  let version: number;
  try {
    version = loaded.func(PROTOTYPES.uffb_cuda_abi_version)() as number;
  } catch {
    throw new UffbError(`${path} is not uffb's CUDA library; run npm run build`);
  }
  if (version !== UFFB_CUDA_ABI_VERSION) {
    throw new UffbError(
      `${path} has ABI version ${version}, and this uffb needs ${UFFB_CUDA_ABI_VERSION}; run npm run build where nvcc is`,
    );
  }
  if (!declared) {
    for (const name of OPAQUE) koffi.opaque(name);
    for (const [name, members] of Object.entries(STRUCTS)) koffi.struct(name, members);
    declared = true;
  }
  const functions = Object.entries(PROTOTYPES).map(([name, prototype]) => [name, loaded.func(prototype)]);
  return Object.fromEntries(functions) as CudaLibrary;
}

/** Runs a call that reports its failures on this thread. */
export function checkedCuda(call: (library: CudaLibrary) => number): void {
  const library = cuda();
  check(call(library), () => library.uffb_cuda_error());
}
