import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UffbError } from "../lib/base/errors.ts";
import { count, formatSeconds, plural } from "../lib/base/numbers.ts";
import { checkWritable, makeWhole } from "../lib/base/write.ts";
import { readDocuments } from "../lib/data/corpus.ts";
import { learnTokens, tokenizerFiles, VocabularyText } from "../lib/text/vocab/vocabulary.ts";
import { grouped } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { statusLine } from "./cli/terminal.ts";

/** As UltraFastBERT's. */
const SIZE = 32_768;
const LENGTH = 128;
/** Characters between two reports. */
const REPORT = 1 << 22;

export default command({
  meta: { name: "vocab", description: "Learn a WordPiece tokenizer from text, for uffb pretrain" },
  positionals: [
    {
      name: "corpus",
      description:
        "Plain text, or JSON lines, Parquet, CSV or TSV with a column of texts; also packed by gzip or xz",
      required: true,
      multiple: true,
    },
  ],
  args: {
    ...grouped("TOKENIZER", {
      output: {
        type: "string",
        alias: "o",
        required: true,
        valueHint: "folder",
        description: "Folder to write",
      },
      size: {
        type: "number",
        integer: true,
        min: 16,
        max: 2 ** 24,
        valueHint: "tokens",
        description: `Tokens of the vocabulary, special ones and characters included; default: ${SIZE}`,
      },
      minCount: {
        type: "number",
        integer: true,
        min: 1,
        max: 1e9,
        description: "Make no piece of a pair that comes less often; default: 1",
      },
      maxLength: {
        type: "number",
        integer: true,
        min: 8,
        max: 65_536,
        valueHint: "tokens",
        description: `Most tokens of an input, as tokenizer_config.json says it; default: ${LENGTH}`,
      },
    }),
    ...grouped("DATA", {
      field: {
        type: "string",
        valueHint: "column",
        description: "Column of the texts, or field of JSON lines; default: text",
      },
      skipBad: {
        type: "boolean",
        description: "Leave out documents that cannot be read, instead of stopping with an error",
      },
    }),
  },
  examples: [
    "uffb vocab text.txt.xz -o vocab",
    "uffb pretrain text.txt.xz --tokenizer vocab --tokens 100e6 -o model",
    "uffb vocab wiki-*.parquet --size 8192 -o vocab-8k",
    'uffb tokenize --tokenizer vocab "Some text."',
  ],
  sections: {
    "WHAT IT LEARNS": [
      "Pieces are merged as by Hugging Face's WordPiece trainer; normaliser, templates and special tokens are UltraFastBERT's: lower case, ASCII.",
      "The same text gives the same files. Memory does not grow with the text: beyond four million different words the rarest are",
      "forgotten, and a warning says how rare.",
    ],
  },

  async run({ args, positionals }) {
    const { output, field, skipBad, size = SIZE, minCount = 1, maxLength = LENGTH } = args;
    checkWritable(output);
    const line = statusLine();
    const started = performance.now();
    try {
      const text = new VocabularyText();
      let [documents, bad, characters, unreported] = [0, 0, 0, 0];
      for (const path of positionals) {
        for await (const document of readDocuments(path, { field, skipBad })) {
          documents++;
          if ("error" in document) {
            bad++;
            continue;
          }
          text.add(document.text);
          characters += document.text.length;
          unreported += document.text.length;
          if (unreported < REPORT) continue;
          unreported = 0;
          line.show(() => `reading text: ${count(characters)} characters`);
        }
      }
      const counts = text.counts();
      if (counts.size === 0) throw new UffbError(`${positionals.join(", ")}: no words; give a text`);
      const tokens = learnTokens(counts, {
        size,
        leastCount: minCount,
        onProgress: (done) => line.show(() => `learning: ${count(done)} of ${count(size)} tokens`),
      });
      const files = tokenizerFiles(tokens, maxLength);
      await makeWhole(output, (temporary) => {
        mkdirSync(temporary);
        for (const [name, content] of Object.entries(files)) writeFileSync(join(temporary, name), content);
      });
      line.clear();
      if (bad > 0) messages.warn(`${plural(bad, "document")} of ${count(documents)} left out`);
      if (text.forgotten > 0)
        messages.warn(`words seen ${text.forgotten} times or less were forgotten for want of room`);
      if (tokens.length < size)
        messages.warn(`the text gives ${count(tokens.length)} tokens, not ${count(size)}`);
      const seconds = (performance.now() - started) / 1000;
      messages.info(
        `${output} is there: ${plural(tokens.length, "token")} of ${plural(counts.size, "different word")} in ${count(characters)} characters, in ${formatSeconds(seconds)}`,
      );
    } finally {
      line.clear();
    }
  },
});
