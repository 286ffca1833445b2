import { fail, type JsonObject, show } from "../../base/json.ts";

/**
 * What becomes of a key of a file that lies beside a model: it is read; or known to change no result, and why; or refused, for it would change
 * one in a way that is not supported, unless its value is one of those that do not.
 */
export type Rule = "read" | { nothing: string } | { refused: string; unless: readonly unknown[] };

/** The keys of a kind of file. */
export interface KeyTable {
  keys: Readonly<Record<string, Rule>>;
  /** Whether the table has no more to say of a key whose value is this: then it is read, too. */
  also?: (key: string, value: unknown) => boolean;
  /** Of keys that the library does not know: it takes no notice of them, or refuses the file. */
  others: { nothing: string } | "refused";
}

/** The keys of one file, by what became of them. */
export interface KeyReport {
  /** As messages call it. */
  source: string;
  read: string[];
  /** Those that change no result; of a whole file that does not, one without a key. */
  nothing: { key: string; why: string }[];
  /** Keys that the library does not know, and takes no notice of. */
  unknown: string[];
}

/**
 * Sorts a file's keys by a table. Null is no value: the library's own default holds.
 *
 * @throws UffbError naming a key that is refused
 */
export function sortKeys(values: JsonObject, { keys, also, others }: KeyTable, source: string): KeyReport {
  const report: KeyReport = { source, read: [], nothing: [], unknown: [] };
  for (const [key, value] of Object.entries(values)) {
    const rule = Object.hasOwn(keys, key) ? keys[key] : also?.(key, value) ? "read" : undefined;
    if (rule === "read") report.read.push(key);
    else if (rule && "nothing" in rule) report.nothing.push({ key, why: rule.nothing });
    else if (rule) {
      if (value !== null && !rule.unless.some((harmless) => Bun.deepEquals(harmless, value)))
        fail(`${source}: ${key} is`, `${show(value)}; ${rule.refused}`);
      report.nothing.push({ key, why: `${show(value)} is what is done anyway` });
    } else if (others === "refused")
      fail(`${source}: ${show(key)}`, "is no setting that the library knows; get the file again");
    else report.unknown.push(key);
  }
  return report;
}

/** One rule for several keys, separated by spaces. */
export function rules(keys: string, rule: Rule): Record<string, Rule> {
  return Object.fromEntries(keys.split(" ").map((key) => [key, rule]));
}
