#!/usr/bin/env bun
/**
 * Compiles dist/uffb: this program, koffi's native half, the engine, the CUDA library where it was built, and the built-in models in one
 * file.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { attach } from "../ffi/attached.ts";
import { BUILTIN } from "../lib/files/builtin.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const cuda = `${root}build/libuffb_cuda.so`;

/** Libraries by the bundle that they are extracted in, and their names there. */
const bundles: Record<string, Record<string, string>> = {
  engine: { "koffi.node": nativeHalf(), "libuffb.so": `${root}build/libuffb.so` },
  ...(existsSync(cuda) && { cuda: { "libuffb_cuda.so": cuda } }),
};

// The entry is generated because it names files of this platform, and of this build.
const lines = [
  'import { main } from "../cmd/main.ts";',
  'import { attachedTo } from "../ffi/attached.ts";',
  'import { embed } from "../ffi/open.ts";',
];
const embedded = Object.entries(bundles).map(([bundle, files]) => {
  const paths = Object.entries(files).map(([name, path], i) => {
    lines.push(`import ${bundle}${i} from ${JSON.stringify(path)} with { type: "file" };`);
    return `${JSON.stringify(name)}: ${bundle}${i}`;
  });
  return `${bundle}: { ${paths.join(", ")} }`;
});
// By the system's own name for it, which holds wherever the program is moved to while it runs.
lines.push(`embed({ ${embedded.join(", ")} });`, 'attachedTo("/proc/self/exe");', "void main();", "");

const entry = `${root}build/entry.ts`;
mkdirSync(`${root}dist`, { recursive: true });
writeFileSync(entry, lines.join("\n"));

const result = await Bun.build({
  entrypoints: [entry],
  compile: { outfile: `${root}dist/uffb`, autoloadDotenv: false, autoloadBunfig: false },
  minify: true,
  bytecode: true,
  // A command loads its own program, not that of the others.
  format: "esm",
  splitting: true,
  // Bytecode has this build's paths in it otherwise.
  define: { "import.meta.url": JSON.stringify("file:///uffb/"), ...commit() },
});
for (const log of result.logs) console.error(String(log));
if (!result.success) process.exit(1);
const models = Object.values(BUILTIN).map(({ path }) => [path, readFileSync(root + path)] as const);
attach(`${root}dist/uffb`, Object.fromEntries(models));

/** The commit that benchmarks name as their origin, where git knows it. */
function commit(): Record<string, string> {
  const { success, stdout } = Bun.spawnSync(["git", "rev-parse", "--short=12", "HEAD"], {
    cwd: root,
    stderr: "ignore",
  });
  return success ? { UFFB_COMMIT: JSON.stringify(stdout.toString().trim()) } : {};
}

/** koffi.node for the C library that this Bun runs on, which is the one that the compiled binary will run on. */
function nativeHalf(): string {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const libc = report.header?.glibcVersionRuntime === undefined ? "musl" : "linux";
  const name = `@koromix/koffi-${process.platform}-${process.arch}/${libc}_${process.arch}/koffi.node`;
  return Bun.resolveSync(name, root);
}
