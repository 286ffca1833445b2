import { quoted } from "../../base/printable.ts";
import { align } from "../../base/table.ts";
import type { Report } from "./compare.ts";
import type { Verification } from "./verify.ts";

/**
 * One object: `passed`, what was run, and `tensors`, each with `name`, `compared` and `skipped` rows and `passed`; for numbers
 * `max_error`, null where it is not finite, and for paths `differ` and `near_ties`; `tolerance` where it is another than the common one.
 */
export function verificationJson(model: string, expected: string, verification: Verification): string {
  const { passed, tolerance, isa, threads, sequences, tokens, tensors, ignored } = verification;
  return `${JSON.stringify({
    model,
    expected,
    passed,
    tolerance,
    isa,
    threads,
    sequences,
    tokens,
    tensors: tensors.map(({ name, compared, skipped, maxError, differ, nearTies, tolerance, passed }) => ({
      name,
      compared,
      skipped,
      ...(maxError === undefined ? { differ, near_ties: nearTies } : { max_error: maxError }),
      ...(tolerance !== undefined && { tolerance }),
      passed,
    })),
    ignored,
  })}\n`;
}

const COLUMNS: { title: string; of(report: Report): string }[] = [
  { title: "tensor", of: ({ name }) => name },
  { title: "compared", of: ({ compared }) => String(compared) },
  { title: "skipped", of: ({ skipped }) => String(skipped) },
  { title: "max error", of: ({ maxError }) => maxError?.toExponential(2) ?? "" },
  { title: "paths differ", of: ({ differ }) => String(differ ?? "") },
  { title: "near-ties", of: ({ nearTies }) => String(nearTies ?? "") },
  { title: "", of: ({ passed }) => (passed ? "ok" : "FAILED") },
];

/** A table for people, and the verdict. */
export function verificationText(verification: Verification): string {
  const { passed, isa, threads, sequences, tokens, tensors, ignored } = verification;
  const table = align(
    [COLUMNS.map(({ title }) => title), ...tensors.map((report) => COLUMNS.map(({ of }) => of(report)))],
    (column) => column > 0 && column < COLUMNS.length - 1,
  );
  const failed = tensors.filter((report) => !report.passed).length;
  const nothing = tensors.every(({ compared }) => compared === 0);
  const verdict = nothing
    ? "FAILED: nothing could be compared"
    : passed
      ? `ok: all ${tensors.length} tensors within ${tolerances(verification)}`
      : `FAILED: ${failed} of ${tensors.length} tensors`;
  return [
    ...table,
    "",
    `${verdict} (${sequences} sequences, ${tokens} tokens, ${isa}, ${threads} threads)`,
    ...(ignored.length > 0 ? [`not compared: ${summary(ignored)}`] : []),
    "",
  ].join("\n");
}

/** Those that tensors were held to. */
function tolerances({ tolerance, tensors }: Verification): string {
  const all = new Set(tensors.map((report) => report.tolerance ?? tolerance));
  return [...all].sort((a, b) => a - b).join(", ");
}

const NAMED = 4;

function summary(names: readonly string[]): string {
  const rest = names.length - NAMED;
  return names.slice(0, NAMED).map(quoted).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
