import { closeSync, openSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { extname } from "node:path";
import { UffbError, UsageError } from "../../base/errors.ts";
import type { BenchRecord } from "../measure/record.ts";
import { FORMATS, type Format } from "./formats.ts";

/**
 * A file of records, in the format that its ending names. It is opened here, before anything is measured, and replaced as a whole at each
 * call of the function returned. Errors: UsageError for another ending; UffbError when it cannot be written.
 */
export function exportTo(path: string): (records: readonly BenchRecord[]) => void {
  const ending = extname(path).slice(1);
  if (!Object.hasOwn(FORMATS, ending)) {
    const endings = Object.keys(FORMATS).map((name) => `.${name}`);
    throw new UsageError(`--export ${path}: end it in ${endings.join(", ")}`);
  }
  const format = FORMATS[ending as Format];
  return replacing(path, "--export", format);
}

/** The same for any text made of records. `flag` is for messages. */
export function replacing(
  path: string,
  flag: string,
  format: (records: readonly BenchRecord[]) => string,
): (records: readonly BenchRecord[]) => void {
  const temporary = `${path}.${process.pid}.tmp`;
  const attempt = (action: () => void) => {
    try {
      action();
    } catch (error) {
      throw new UffbError(`${flag} ${path}: ${(error as Error).message}; name a file that can be written`);
    }
  };
  attempt(() => {
    closeSync(openSync(path, "a"));
    closeSync(openSync(temporary, "wx"));
    unlinkSync(temporary);
  });
  return (records) =>
    attempt(() => {
      writeFileSync(temporary, format(records));
      renameSync(temporary, path);
    });
}
