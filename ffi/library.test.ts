import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { UffbError } from "../lib/base/errors.ts";
import { UFFB_ABI_VERSION } from "./bindings.ts";
import { compiler, cpuCount, isas } from "./engine.ts";
import { bind, native } from "./library.ts";
import type { Koffi } from "./open.ts";

const koffi = createRequire(import.meta.url)("koffi") as Koffi;
const folder = mkdtempSync(join(tmpdir(), "uffb-library-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A shared library of one function. */
function stub(name: string, source: string): string {
  const path = join(folder, `${name}.so`);
  writeFileSync(join(folder, `${name}.c`), source);
  const { exitCode, stderr } = Bun.spawnSync([
    "cc",
    "-shared",
    "-fPIC",
    "-o",
    path,
    join(folder, `${name}.c`),
  ]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return path;
}

describe("the library", () => {
  test("has the ABI of the header and knows this machine", () => {
    expect(native().uffb_abi_version()).toBe(UFFB_ABI_VERSION);
    expect(isas()).toContain("generic");
    expect(isas().at(-1)).toBe("generic");
    expect(cpuCount()).toBeGreaterThanOrEqual(1);
    expect(compiler()).toMatch(/gcc|clang|GCC|\d/);
  });

  test("of another ABI version is refused with both versions", () => {
    const path = stub("newer", `int uffb_abi_version(void) { return ${UFFB_ABI_VERSION + 1}; }`);
    expect(() => bind(koffi, path)).toThrow(UffbError);
    expect(() => bind(koffi, path)).toThrow(
      `${path} has ABI version ${UFFB_ABI_VERSION + 1}, and this uffb needs ${UFFB_ABI_VERSION}; run npm run build`,
    );
  });

  test("that is some other one is refused", () => {
    expect(() => bind(koffi, stub("other", "int other(void) { return 1; }"))).toThrow(
      "is not the uffb engine",
    );
  });

  test("that is missing is an error that says what to run", () => {
    for (const part of ["ffi", "lib/base"]) {
      cpSync(fileURLToPath(new URL(`../${part}`, import.meta.url)), join(folder, part), { recursive: true });
    }
    symlinkSync(fileURLToPath(new URL("../node_modules", import.meta.url)), join(folder, "node_modules"));
    const code = `import { isas } from "./ffi/engine.ts"; try { isas() } catch (e) { console.log(e.name + ": " + e.message) }`;
    writeFileSync(join(folder, "main.ts"), code);
    const { stdout } = Bun.spawnSync([process.execPath, "main.ts"], { cwd: folder });
    expect(stdout.toString()).toBe(
      `UffbError: ${join(folder, "build/libuffb.so")} is missing; run npm run build\n`,
    );
  });
});
