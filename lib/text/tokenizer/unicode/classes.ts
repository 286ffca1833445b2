import { TABLES } from "./tables.ts";

export type Property = keyof typeof TABLES;

const made = new Map<Property, string>();

/** The characters of a property as Rust `tokenizers` knows it, to stand between the brackets of an expression with the flag u. */
export function characters(property: Property): string {
  let found = made.get(property);
  if (found === undefined) {
    found = decode(TABLES[property]);
    made.set(property, found);
  }
  return found;
}

function decode(ranges: string): string {
  let at = 0;
  return ranges
    .split(" ")
    .map((range) => {
      const [skipped, length = "1"] = range.split("+");
      const start = at + Number.parseInt(skipped!, 36);
      at = start + Number.parseInt(length, 36);
      return `${escaped(start)}${at - start > 1 ? `-${escaped(at - 1)}` : ""}`;
    })
    .join("");
}

const escaped = (code: number) => `\\u{${code.toString(16)}}`;
