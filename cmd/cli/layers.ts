import { UsageError } from "../../lib/base/errors.ts";

/** Numbers of layers, from `--layers 0,2,4`. @throws UsageError */
export function parseLayers(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,4}(,\d{1,4})*$/.test(text))
    throw new UsageError(`--layers ${text}: give numbers separated by commas, such as 0,2,4`);
  return text.split(",").map(Number);
}
