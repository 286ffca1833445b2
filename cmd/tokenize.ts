import { UffbError, UsageError } from "../lib/base/errors.ts";
import { openTokenizer } from "../lib/model/tokenizer.ts";
import { type Encoded, tokenExporter } from "../lib/run/tokens.ts";
import { type BadItem, badItem, type Item, openInput } from "../lib/text/input/input.ts";
import type { Encoding, Tokenizer } from "../lib/text/tokenizer/tokenizer.ts";
import { grouped } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { BadInputs, inputArgs, inputPositionals, questionFileName } from "./cli/input.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, downloadArg } from "./cli/model.ts";
import { formatOf, outputArgs, TEXT_FORMATS } from "./cli/output.ts";
import { Rate } from "./cli/rate.ts";
import { isTerminal, print, statusLine } from "./cli/terminal.ts";

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
        "A folder with a tokenizer.json, that file, a packed model, or the name of a model on the hub. Default: UFFB_MODEL, or else the built-in model",
    },
    download: downloadArg,
    maxLength: {
      type: "number",
      valueHint: "tokens",
      integer: true,
      min: 1,
      max: 1_000_000,
      description: "Most tokens of an input, special ones included; the longer of two texts is cut first",
    },
    ...inputArgs,
    ...grouped("OUTPUT", {
      format: {
        type: "enum",
        options: TEXT_FORMATS,
        description: "text is for people, tsv for pipelines; default: text on a terminal, else tsv",
      },
      ...outputArgs,
    }),
  },
  examples: [
    'uffb tokenize "The film was [MASK] by Steven Spielberg."',
    "uffb tokenize --tokenizer models/bert --max-length 128 < lines.txt",
    "uffb tokenize --input reviews.csv --jsonl | uffb infer --jsonl",
    "uffb tokenize < lines.txt | cut -f2   # columns: line number, ids, tokens",
  ],
  sections: {
    "COLUMNS of tsv and csv": ["id or else line, ids, tokens; spaces separate ids and tokens"],
    "FIELDS of json and jsonl": [
      "id or else line as id, ids, tokens; texts, where tokens are not spelt as people read them; error, where an input cannot be used",
    ],
  },
  exitCodes: { 1: "failure, or an input could not be read" },

  async run({ args, positionals: texts }) {
    const format = formatOf(args);
    for (const text of texts) questionFileName(text, `to read it, say --input ${text}`, args);
    if (args.keep && format === "text")
      throw new UsageError("--keep is for tsv, csv, jsonl and json; choose one with --format, or drop it");
    const tokenizer = await openTokenizer(await chooseModel(args.tokenizer, args.download));
    const { maxLength } = args;
    const input = await openInput({ ...args, texts });
    if (input.note !== undefined) messages.info(input.note);
    const kept = args.keep ? input.kept : undefined;
    const writer = tokenExporter(format, tokenizer, { header: args.header, kept });
    const bad = new BadInputs(input.place, args.skipBad);
    const rate = new Rate(isTerminal(1) ? undefined : statusLine(), input.share);
    using owned = new DisposableStack();
    owned.defer(() => rate.clear());
    let cut = 0;
    let output = writer.head;
    for await (const items of input.batches) {
      // The engine ends the process where a signal comes while JavaScript is busy with a long text.
      if (items.some((item) => "text" in item && item.text.length > LONG_TEXT))
        (await import("../ffi/library.ts")).native();
      for (const item of items) {
        const encoded = "error" in item ? item : encode(item, tokenizer, maxLength);
        if ("error" in encoded) {
          rate.clear();
          bad.add(encoded);
          if (args.skipBad || args.jsonl) continue;
        } else {
          bad.good();
          if (encoded.encoding.dropped > 0) cut++;
        }
        output += writer.record(encoded);
        if (output.length < FLUSH) continue;
        print(output);
        output = "";
      }
      print(output);
      output = "";
      rate.add(items.length);
    }
    rate.clear();
    print(output + writer.tail);
    bad.finish();
    if (cut > 0)
      messages.warn(`${cut} ${cut === 1 ? "input was" : "inputs were"} cut to ${maxLength} tokens`);
    return bad.exitCode;
  },
});

/** An item's tokens, or why it has none. */
function encode(item: Item, tokenizer: Tokenizer, maxLength: number | undefined): Encoded | BadItem {
  try {
    return { item, encoding: encodeItem(item, tokenizer, maxLength) };
  } catch (error) {
    return badItem(item, error);
  }
}

function encodeItem(
  { text, pair, ids }: Item,
  tokenizer: Tokenizer,
  maxLength: number | undefined,
): Encoding {
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
