import { existsSync } from "node:fs";
import { NativeBlas } from "../../../ffi/bench.ts";
import { UffbError } from "../../base/errors.ts";

/** Libraries by the names that distributions give them, each found in a folder below or by the system's loader. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  openblas: ["openblas-pthread/libopenblas.so.0", "libopenblas.so.0", "openblas-openmp/libopenblas.so.0"],
  blis: ["blis-pthread/libblis.so.4", "libblis.so.4", "blis-openmp/libblis.so.4"],
  mkl: ["libmkl_rt.so.3", "libmkl_rt.so.2", "libmkl_rt.so"],
  onednn: ["libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"],
};

const LIBRARIES: readonly string[] = Object.keys(NAMES);
/** What --blas and records call the engine's own dot, axpy, gemv and gemm. */
export const OWN = "ours";

const FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
  "/opt/intel/oneapi/mkl/latest/lib",
];

export interface FoundBlas {
  /** What --blas calls it: a name from the list above, or the path given. */
  name: string;
  library: NativeBlas;
}

/** Where the dynamic loader looks besides: LD_LIBRARY_PATH. */
function folders(): string[] {
  return [...(process.env.LD_LIBRARY_PATH ?? "").split(":").filter((folder) => folder !== ""), ...FOLDERS];
}

function candidates(name: string): string[] {
  return (NAMES[name] ?? []).flatMap((file) =>
    folders()
      .map((folder) => `${folder}/${file}`)
      .filter((path) => existsSync(path)),
  );
}

/**
 * Every BLAS on this machine, one for each name; one that cannot be opened is left out. Where none has all three levels, the engine's own
 * stands in, so that each level is compared anywhere.
 */
export function findAll(): FoundBlas[] {
  const found = findLibraries();
  return found.some(({ library }) => library.complete) ? found : [...found, own()];
}

const own = (): FoundBlas => ({ name: OWN, library: new NativeBlas() });

function findLibraries(): FoundBlas[] {
  const found: FoundBlas[] = [];
  for (const name of LIBRARIES) {
    for (const path of candidates(name)) {
      try {
        found.push({ name, library: new NativeBlas(path) });
        break;
      } catch (error) {
        if (!(error instanceof UffbError)) throw error;
      }
    }
  }
  return found;
}

/**
 * The one that --blas names, by name or path.
 *
 * @throws UffbError saying which there are
 */
export function findOne(which: string): FoundBlas {
  if (which === OWN) return own();
  if (which.includes("/")) return { name: which, library: new NativeBlas(which) };
  const path = candidates(which)[0];
  if (path !== undefined) return { name: which, library: new NativeBlas(path) };
  const there = [...LIBRARIES.filter((name) => candidates(name).length > 0), OWN];
  throw new UffbError(
    `no BLAS called ${which} found; there ${there.length === 1 ? "is" : "are"} ${there.join(", ")}; ${installHint()}, or give a path`,
  );
}

/** Packages of Debian, up to the version that may follow. */
const PACKAGES = ["libopenblas0", "libblis", "libdnnl"];

/** How to get a BLAS, by the names that packages have on this system: Debian's releases differ in them. */
export function installHint(): string {
  const names = packageNames(`^(${PACKAGES.join("|")})[0-9.]*$`);
  const packages = PACKAGES.flatMap((start) =>
    names
      .filter((name) => name.startsWith(start))
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
      .slice(-1),
  );
  return packages.length > 0
    ? `apt-get install ${packages.join(" ")} brings more`
    : "install OpenBLAS, BLIS, oneDNN or MKL";
}

/** Names in Debian's lists of packages that match; none on other systems. */
function packageNames(pattern: string): string[] {
  const program = Bun.which("apt-cache", { PATH: process.env.PATH ?? "" });
  if (program === null) return [];
  const { stdout } = Bun.spawnSync([program, "--names-only", "search", pattern], { stderr: "ignore" });
  return Array.from(stdout.toString().matchAll(/^\S+/gm), ([name]) => name);
}

/** Settings of the environment that slow a BLAS down, as warnings. */
export function environmentWarnings(): string[] {
  const names = [
    "OPENBLAS_CORETYPE",
    "BLIS_ARCH_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "ONEDNN_MAX_CPU_ISA",
  ];
  return names
    .filter((name) => process.env[name])
    .map(
      (name) => `${name}=${process.env[name]} is set: the baseline may not run its best kernels; unset it`,
    );
}
