import { UffbError } from "../lib/base/errors.ts";
import { printable } from "../lib/base/printable.ts";
import { openTokenizer } from "../lib/model/tokenizer.ts";
import { type BadItem, badItem, type Item, readItemBatches } from "../lib/text/input/input.ts";
import type { Encoding, Tokenizer } from "../lib/text/tokenizer/tokenizer.ts";
import { command } from "./cli/command.ts";
import { inputArgs, inputPositionals, reportBadItem } from "./cli/input.ts";
import { messages } from "./cli/messages.ts";
import { isTerminal, print } from "./cli/terminal.ts";

/** Characters of a text that takes a while. */
const LONG_TEXT = 1 << 18;
/** Output is written when this many characters are there, and whenever input has to be waited for. */
const FLUSH = 1 << 16;

export default command({
  meta: { name: "tokenize", description: "Show the tokens that a model sees, and their ids" },
  positionals: inputPositionals,
  args: {
    tokenizer: {
      type: "string",
      valueHint: "path",
      description:
        "Folder with a tokenizer.json, that file, a packed model, or org/name of a downloaded one; default: the built-in model",
    },
    maxLength: {
      type: "number",
      valueHint: "tokens",
      integer: true,
      min: 1,
      max: 1_000_000,
      description: "Most tokens of an input, special ones included; the longer of two texts is cut first",
    },
    ...inputArgs,
  },
  examples: [
    'uffb tokenize "The film was [MASK] by Steven Spielberg."',
    "uffb tokenize --tokenizer models/bert --max-length 128 < lines.txt",
    "uffb tokenize --jsonl < texts.jsonl | uffb infer --jsonl",
    "uffb tokenize < lines.txt | cut -f2   # columns: line number, ids, tokens",
  ],
  exitCodes: { 1: "failure, or an input could not be read" },

  async run({ args, positionals }) {
    const tokenizer = await openTokenizer(args.tokenizer);
    const write = args.jsonl ? writeJson : isTerminal(1) ? writeTable : writeTabs;
    const { maxLength } = args;
    let bad = 0;
    let cut = 0;
    let output = "";
    for await (const items of readItemBatches({ texts: positionals, ...args })) {
      // The engine ends the process where a signal comes while JavaScript is busy with a long text.
      if (items.some((item) => "text" in item && item.text.length > LONG_TEXT))
        (await import("../ffi/library.ts")).native();
      for (const item of items) {
        const record = "error" in item ? item : show(item, tokenizer, maxLength, write);
        if ("error" in record) {
          bad++;
          reportBadItem(record, positionals);
          continue;
        }
        if (record.dropped > 0) cut++;
        output += record.text;
        if (output.length < FLUSH) continue;
        print(output);
        output = "";
      }
      print(output);
      output = "";
    }
    if (cut > 0)
      messages.warn(`${cut} ${cut === 1 ? "input was" : "inputs were"} cut to ${maxLength} tokens`);
    return bad > 0 ? 1 : 0;
  },
});

/** What to print of an item, and how many of its tokens were cut off. */
function show(
  item: Item,
  tokenizer: Tokenizer,
  maxLength: number | undefined,
  write: typeof writeJson,
): { text: string; dropped: number } | BadItem {
  try {
    const encoding = encode(item, tokenizer, maxLength);
    return { text: write(item, encoding, tokenizer), dropped: encoding.dropped };
  } catch (error) {
    return badItem(item.line, error);
  }
}

function encode({ text, pair, ids }: Item, tokenizer: Tokenizer, maxLength: number | undefined): Encoding {
  if (ids) return readIds(ids, tokenizer, maxLength);
  return tokenizer.encode(text, { ...(pair !== undefined && { pair }), ...(maxLength && { maxLength }) });
}

function readIds(ids: Int32Array, tokenizer: Tokenizer, maxLength = ids.length): Encoding {
  const foreign = ids.find((id) => !tokenizer.has(id));
  if (foreign !== undefined) {
    throw new UffbError(
      `token id ${foreign} is not in the vocabulary, which ends at ${tokenizer.vocabSize - 1}`,
    );
  }
  const kept = ids.subarray(0, maxLength);
  return { ids: kept, types: new Int32Array(kept.length), dropped: ids.length - kept.length };
}

/** `{"id":…,"ids":[…],"tokens":[…]}`; an input without id has its number. */
function writeJson(item: Item, { ids }: Encoding, tokenizer: Tokenizer): string {
  const tokens = Array.from(ids, (id) => tokenizer.token(id));
  return `{"id":${JSON.stringify(item.id ?? item.line)},"ids":[${ids.join(",")}],"tokens":${JSON.stringify(tokens)}}\n`;
}

/** Three columns: the number of the line or argument, ids, tokens; spaces separate ids and tokens. */
function writeTabs(item: Item, { ids }: Encoding, tokenizer: Tokenizer): string {
  let tokens = "";
  for (const id of ids) tokens += `${tokens && " "}${visible(tokenizer.token(id))}`;
  return `${item.line}\t${ids.join(" ")}\t${tokens}\n`;
}

/** For people: a token a line. */
function writeTable(item: Item, { ids, types, dropped }: Encoding, tokenizer: Tokenizer): string {
  const texts = [item.text, ...(item.pair === undefined ? [] : [item.pair])].filter((text) => text !== "");
  const count = `${ids.length} tokens${dropped > 0 ? `, ${dropped} more cut off` : ""}`;
  const width = String(tokenizer.vocabSize).length + 2;
  const rows = Array.from(ids, (id, i) => {
    const type = types[i] ? `  (type ${types[i]})` : "";
    return `${String(id).padStart(width)}  ${visible(tokenizer.token(id))}${type}\n`;
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
