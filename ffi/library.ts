import { UffbError } from "../lib/base/errors.ts";
import { listenForGood } from "../lib/base/signals.ts";
import { watchTemporaries } from "../lib/base/temporary.ts";
import {
  type Functions,
  OPAQUE,
  PROTOTYPES,
  STRUCTS,
  UFFB_ABI_VERSION,
  UFFB_TRAIN_ABI_VERSION,
} from "./bindings.ts";
import { type Koffi, openLibrary } from "./open.ts";
import { check } from "./status.ts";

/** koffi's form of a C function: a direct call, and one on another thread that calls back when it is done. */
type Bound<F extends (...args: never[]) => unknown> = F & {
  async(...args: [...Parameters<F>, (error: unknown, result: ReturnType<F>) => void]): void;
};

/** The functions of a library as koffi binds them. */
export type Bindings<F> = {
  readonly [N in keyof F]: F[N] extends (...args: never[]) => unknown ? Bound<F[N]> : never;
};

export type Library = Bindings<Functions>;

/** What the library says of each of its headers. */
const VERSIONS = [
  ["uffb_abi_version", UFFB_ABI_VERSION],
  ["uffb_train_abi_version", UFFB_TRAIN_ABI_VERSION],
] as const;

let library: Library | undefined;

/**
 * The engine, loaded when first asked for.
 *
 * @throws UffbError when it cannot be loaded or is of another ABI version
 */
export function native(): Library {
  if (library === undefined) {
    library = openLibrary(bind);
    watchInterrupts(library);
    library.uffb_catch_sigbus(); // where it cannot, a file cut short ends the process, as it would have
  }
  return library;
}

/** How long JavaScript may take to obey a signal that asks for the process's end. */
const PATIENCE_MS = 500;

function watchInterrupts(library: Library): void {
  listenForGood();
  check(library.uffb_interrupt_watch(PATIENCE_MS), () => library.uffb_error());
  watchTemporaries((path, remove) => void library.uffb_interrupt_remove(path, Number(remove)));
}

/** Declares the header's types to koffi and gives every function, bound when it is first used. */
export function bind(koffi: Koffi, path: string): Library {
  const loaded = koffi.load(path);
  for (const [prototype, needed] of VERSIONS) {
    let version: number;
    try {
      version = loaded.func(PROTOTYPES[prototype])() as number;
    } catch {
      throw new UffbError(`${path} is not the uffb engine; run npm run build`);
    }
    if (version !== needed) {
      throw new UffbError(
        `${path} has ABI version ${version}, and this uffb needs ${needed}; run npm run build`,
      );
    }
  }
  for (const name of OPAQUE) koffi.opaque(name);
  for (const [name, members] of Object.entries(STRUCTS)) koffi.struct(name, members);
  return bindWhenUsed(PROTOTYPES, (prototype) => loaded.func(prototype)) as Library;
}

/** An object of functions by name. Binding all takes a millisecond of a program's start, and a command uses few. */
export function bindWhenUsed(
  prototypes: Readonly<Record<string, string>>,
  bindOne: (prototype: string) => unknown,
): object {
  const functions = {};
  for (const [name, prototype] of Object.entries(prototypes)) {
    Object.defineProperty(functions, name, {
      configurable: true,
      enumerable: true,
      get() {
        const value = bindOne(prototype);
        Object.defineProperty(functions, name, { value, enumerable: true });
        return value;
      },
    });
  }
  return functions;
}

/** Runs a call that reports its failures on this thread. */
export function checked(call: (library: Library) => number): void {
  const library = native();
  check(call(library), () => library.uffb_error());
}
