import { type Fit, fitTable } from "../../../base/table.ts";
import type { Run } from "../run.ts";

/** A table with a title over each column; numbers stand at the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], fit?: Fit): string {
  return fitTable(header, rows, fit)
    .map((line) => `${line}\n`)
    .join("");
}

/** A score as papers have it: times 100, two decimals; a dash where it is not defined. */
export function points(value: number): string {
  return Number.isNaN(value) ? "–" : (100 * value).toFixed(2);
}

/** The same with its sign. */
export function signed(value: number): string {
  return Number.isNaN(value) ? "–" : `${value < 0 ? "" : "+"}${(100 * value).toFixed(2)}`;
}

/** What ran it: `2 threads`, `2 instances`, or a device and its dtype. */
export function engine({
  instances,
  threads,
  device,
}: Pick<Run, "instances" | "threads" | "device">): string {
  if (device) return `${device.name}, ${device.dtype}`;
  const [count, what] = instances > 1 ? [instances, "instance"] : [threads, "thread"];
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
