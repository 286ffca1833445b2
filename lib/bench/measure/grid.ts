import { UsageError } from "../../base/errors.ts";

const RANGE = /^(\d+)-(\d+)([*+])(\d+)$/;
const MOST = 1000;

/**
 * Numbers of a list such as "1,16,128,1024-16384*4": commas separate, "A-B*F" multiplies by F from A up to B, "A-B+S" adds S.
 *
 * @throws UsageError naming `flag` and the part that is wrong
 */
export function parseGrid(list: string, flag: string, min: number, max: number): number[] {
  const values: number[] = [];
  for (const part of list.split(",")) {
    const [, from, to, operator, step] = RANGE.exec(part.trim()) ?? [];
    if (from !== undefined) {
      const by = Number(step);
      if (operator === "*" ? by < 2 || Number(from) < 1 : by < 1) {
        throw new UsageError(`${flag}: ${part} never ends; a factor is at least 2, a step at least 1`);
      }
      for (
        let value = Number(from);
        value <= Number(to);
        value = operator === "*" ? value * by : value + by
      ) {
        values.push(value);
        if (values.length > MOST) throw new UsageError(`${flag}: ${part} has more than ${MOST} values`);
      }
    } else {
      if (!/^\d+$/.test(part.trim())) {
        throw new UsageError(
          `${flag}: ${part || "an empty part"} is not a number or range; write 1,16 or 1024-16384*4`,
        );
      }
      values.push(Number(part));
    }
  }
  for (const value of values) {
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new UsageError(`${flag}: ${value} is not ${min} to ${max}`);
    }
  }
  return [...new Set(values)];
}
