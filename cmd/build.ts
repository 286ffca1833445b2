#!/usr/bin/env bun
/** Compiles dist/uffb: this program, koffi's native half, the engine and the built-in model in one file. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const engine = `${root}build/libuffb.so`;
const koffi = nativeHalf();
const hash = createHash("sha256")
  .update(readFileSync(koffi))
  .update(readFileSync(engine))
  .digest("hex")
  .slice(0, 32);

// The entry is generated because it names files of this platform.
const entry = `${root}build/entry.ts`;
mkdirSync(`${root}dist`, { recursive: true });
writeFileSync(
  entry,
  `import koffi from ${JSON.stringify(koffi)} with { type: "file" };
import engine from ${JSON.stringify(engine)} with { type: "file" };
import { main } from "../cmd/main.ts";
import { embed } from "../ffi/open.ts";
embed({ koffi, engine, hash: ${JSON.stringify(hash)} });
void main();
`,
);

const result = await Bun.build({
  entrypoints: [entry],
  compile: { outfile: `${root}dist/uffb`, autoloadDotenv: false, autoloadBunfig: false },
  minify: true,
  bytecode: true,
  // Bytecode has this build's paths in it otherwise.
  define: { "import.meta.url": JSON.stringify("file:///uffb/"), ...commit() },
});
for (const log of result.logs) console.error(String(log));
if (!result.success) process.exit(1);

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
