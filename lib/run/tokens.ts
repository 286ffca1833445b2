/** What `uffb tokenize` prints, one exporter a format. */
import { printable } from "../base/printable.ts";
import type { BadItem, Input, Item } from "../text/input/input.ts";
import type { Encoding, Tokenizer } from "../text/tokenizer/tokenizer.ts";
import { CSV, type Delimited, Kept, row, TSV } from "./rows.ts";

/** An item and its tokens. */
export interface Encoded {
  item: Item;
  encoding: Encoding;
}

export interface TokenExporter {
  head: string;
  record(one: Encoded | BadItem): string;
  tail: string;
}

export type TokenFormat = "text" | "tsv" | "csv" | "jsonl" | "json";

const COLUMNS = ["id", "ids", "tokens"];

/** A new exporter; `header` is for tsv, and csv always has one. */
export function tokenExporter(
  format: TokenFormat,
  tokenizer: Tokenizer,
  options: { header: boolean; kept: Input["kept"] | undefined },
): TokenExporter {
  const kept = new Kept(options.kept, [...COLUMNS, "line", "error"]);
  const cells = cellsOf(tokenizer);
  const rows = (delimited: Delimited, hasHeader: boolean): TokenExporter => ({
    head: hasHeader ? row(delimited, [...COLUMNS, ...kept.names]) : "",
    record(one) {
      const place = "error" in one ? one : one.item;
      const id = place.id ?? place.line;
      const [ids, tokens] = "error" in one ? ["", ""] : cells(one.encoding.ids);
      // Of numbers and spaces, ids are a cell as they are; so are, in tsv, tokens, in which nothing is left that breaks a row.
      const { separator, cell } = delimited;
      const first = typeof id === "number" ? id : cell(id);
      const start = `${first}${separator}${ids}${separator}${delimited === TSV ? tokens : cell(tokens)}`;
      return kept.names.length === 0
        ? `${start}\n`
        : `${start}${separator}${row(delimited, kept.cells(place))}`;
    },
    tail: "",
  });
  switch (format) {
    case "text":
      return { head: "", record: (one) => ("error" in one ? "" : people(one, tokenizer)), tail: "" };
    case "tsv":
      return rows(TSV, options.header);
    case "csv":
      return rows(CSV, true);
    case "jsonl":
      return { head: "", record: (one) => `${toJson(one, tokenizer, kept)}\n`, tail: "" };
    case "json": {
      let separator = "\n";
      const record = (one: Encoded | BadItem) => {
        const text = separator + toJson(one, tokenizer, kept);
        separator = ",\n";
        return text;
      };
      return { head: "[", record, tail: "\n]\n" };
    }
  }
}

/** Makes of tokens their ids and spellings, spaces between them. What a token looks like is found out once. */
function cellsOf(tokenizer: Tokenizer): (ids: Int32Array) => [ids: string, tokens: string] {
  const spellings: string[] = new Array(tokenizer.vocabSize);
  return (ids) => {
    let numbers = "";
    let tokens = "";
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      const space = i > 0 ? " " : "";
      spellings[id] ??= visible(tokenizer.token(id));
      numbers += space + id;
      tokens += space + spellings[id];
    }
    return [numbers, tokens];
  };
}

/** `{"id":…,"ids":[…],"tokens":[…]}`, with `texts` where tokens are spelt otherwise than people read them; an input without id has its number. */
function toJson(one: Encoded | BadItem, tokenizer: Tokenizer, kept: Kept): string {
  const place = "error" in one ? one : one.item;
  const id = place.id ?? place.line;
  if ("error" in one) return JSON.stringify({ id, error: one.error, ...kept.fields(one) });
  const { ids } = one.encoding;
  const tokens = Array.from(ids, (id) => tokenizer.token(id));
  const texts = tokenizer.spaced
    ? `,"texts":${JSON.stringify(Array.from(ids, (id) => tokenizer.text(id)))}`
    : "";
  const others = one.item.kept ? JSON.stringify(kept.fields(one.item)).slice(1, -1) : "";
  // Joined by hand, which is faster.
  return `{"id":${JSON.stringify(id)},"ids":[${ids.join(",")}],"tokens":${JSON.stringify(tokens)}${texts}${others && `,${others}`}}`;
}

/** For people: a token a line. */
function people({ item, encoding }: Encoded, tokenizer: Tokenizer): string {
  const { ids, types, dropped } = encoding;
  const texts = [item.text, ...(item.pair === undefined ? [] : [item.pair])].filter((text) => text !== "");
  const count = `${ids.length} tokens${dropped > 0 ? `, ${dropped} more cut off` : ""}`;
  const width = String(tokenizer.vocabSize).length + 2;
  const rows = Array.from(ids, (id, i) => {
    const type = types[i] ? `  (type ${types[i]})` : "";
    const text = tokenizer.spaced ? `  ${JSON.stringify(tokenizer.text(id))}` : "";
    return `${String(id).padStart(width)}  ${visible(tokenizer.token(id))}${text}${type}\n`;
  });
  return `${[...texts.map(printable), count].join("  |  ")}\n${rows.join("")}\n`;
}

/** White space and invisible characters escaped, so that a token does not split a column. */
function visible(text: string): string {
  return /[\s\p{Cc}\p{Cf}]/u.test(text) ? text.replace(/[\s\p{Cc}\p{Cf}]/gu, escaped) : text;
}

function escaped(char: string): string {
  return `\\u{${char.codePointAt(0)!.toString(16)}}`;
}
