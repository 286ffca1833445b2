/** What a report of a problem should name: this build and the machine it runs on. */
import { release } from "node:os";
import { compiler, cpuCount, isas } from "../../ffi/engine.ts";
import { UffbError } from "../../lib/base/errors.ts";
import { termLines } from "../../lib/base/wrap.ts";
import { describeMachine } from "../../lib/bench/measure/machine.ts";
import { version } from "../../package.json";

/** Set when the binary is compiled from a checkout; see build.ts. */
declare const UFFB_COMMIT: string | undefined;

/** The checkout's commit, where the binary was compiled from one. */
export const commit = (): string | null => (typeof UFFB_COMMIT === "string" ? UFFB_COMMIT : null);

/** A line each for the build, the engine, the system and the CPU. A missing engine is a line, too: that may be the problem. */
export function versionText(): string {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const glibc = header?.glibcVersionRuntime;
  const rows: [string, string][] = [
    ["uffb", [version, commit() ?? "not compiled from a commit"].join(", ")],
    ["engine", engine()],
    [
      "system",
      `${process.platform} ${release()} ${process.arch}, ${glibc ? `glibc ${glibc}` : "no glibc"}, Bun ${Bun.version}`,
    ],
  ];
  return `${termLines(rows, { columns: Number.POSITIVE_INFINITY, indent: 0 }).join("\n")}\n`;
}

function engine(): string {
  try {
    return `${isas().join(", ")}; ${compiler()}; ${describeMachine().cpu}, ${cpuCount()} usable`;
  } catch (error) {
    if (error instanceof UffbError) return error.message;
    throw error;
  }
}
