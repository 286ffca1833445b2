import { extname } from "node:path";
import { UsageError } from "../../base/errors.ts";
import { checkWritable, writeWhole } from "../../base/write.ts";
import type { BenchRecord } from "../measure/record.ts";
import { FORMATS, type Format } from "./formats.ts";

/**
 * A file of records, in the format that its ending names; see `replacing`.
 *
 * @throws UsageError for another ending; UffbError when it cannot be written
 */
export function exportTo(path: string): (records: readonly BenchRecord[]) => Promise<void> {
  const ending = extname(path).slice(1);
  if (!Object.hasOwn(FORMATS, ending)) {
    const endings = Object.keys(FORMATS).map((name) => `.${name}`);
    throw new UsageError(`--export ${path}: end it in ${endings.join(", ")}`);
  }
  return replacing(path, FORMATS[ending as Format]);
}

/**
 * A file made of records, which is replaced whole at each call of the function returned. That it can be is checked here, before anything
 * is measured.
 *
 * @throws UffbError when it cannot be written
 */
export function replacing(
  path: string,
  format: (records: readonly BenchRecord[]) => string,
): (records: readonly BenchRecord[]) => Promise<void> {
  checkWritable(path);
  return (records) => writeWhole(path, format(records));
}
