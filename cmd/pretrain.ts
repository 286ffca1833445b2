import { basename } from "node:path";
import { UsageError } from "../lib/base/errors.ts";
import { writeWhole } from "../lib/base/write.ts";
import { DOCUMENTS } from "../lib/data/corpus.ts";
import { openTokenizerFiles } from "../lib/model/tokenizer.ts";
import { curvesSvg } from "../lib/train/curves.ts";
import { checkOutput, runFolder } from "../lib/train/keep.ts";
import { estimate } from "../lib/train/pretrain/outline.ts";
import { pretrain } from "../lib/train/pretrain/pretrain.ts";
import {
  estimateJson,
  estimateText,
  outcomeJson,
  outcomeText,
  pretrainCard,
} from "../lib/train/pretrain/report.ts";
import { tokensOf } from "../lib/train/pretrain/tokens.ts";
import { version } from "../package.json";
import { grouped, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { pretrainArgs, shapeArgs, showPretraining, toPretrainRecipe, toShape } from "./cli/pretrain.ts";
import { GracefulStop } from "./cli/stop.ts";
import { print } from "./cli/terminal.ts";
import { typed } from "./cli/typed.ts";

/** Tokens a character of a document that is left out, as in cramming. */
const MOST_TOKENS = 0.25;

export default command({
  meta: {
    name: "pretrain",
    description: "Train a new masked language model on text, trees or dense layers",
  },
  positionals: [
    {
      name: "corpus",
      description:
        "Plain text, or JSON lines, Parquet, CSV or TSV with a column of texts; also packed by gzip or xz",
      multiple: true,
    },
  ],
  args: {
    ...shapeArgs,
    ...grouped("MODEL AND RESULT", {
      tokenizer: {
        type: "string",
        valueHint: "path",
        description: "Folder with a tokenizer.json, as uffb vocab makes one; default: the built-in model's",
      },
      output: { type: "string", alias: "o", valueHint: "folder", description: "Folder to write" },
      resume: { type: "boolean", description: "Go on with a run that was stopped" },
      dryRun: {
        type: "boolean",
        description:
          "Measure steps of --microbatch random sequences: forward and backward pass, update, and what the CPU's peak would allow; say what the budget would take, and write nothing",
      },
      svg: { type: "string", valueHint: "file", description: "Draw loss and accuracy" },
      json: { type: "boolean", description: "Write one JSON object" },
    }),
    ...grouped("DATA", {
      documents: {
        type: "enum",
        options: DOCUMENTS,
        description: "What ends a document of plain text; default: lines",
      },
      field: {
        type: "string",
        valueHint: "column",
        description: "Column of the texts, or field of JSON lines; default: text",
      },
      mostTokens: {
        type: "number",
        min: 0,
        max: 1,
        valueHint: "share",
        description: `Leave out documents of this many tokens a character or more: numbers, foreign scripts; 1 keeps all; default: ${MOST_TOKENS}`,
      },
      cache: {
        type: "string",
        valueHint: "folder",
        description: "Keep the corpus's tokens here, for other runs; default: OUTPUT.run, which goes away",
      },
      skipBad: {
        type: "boolean",
        description: "Leave out documents that cannot be read, instead of stopping with an error",
      },
    }),
    ...pretrainArgs,
    threads: threadsArg,
  },
  examples: [
    "uffb pretrain text.txt.xz --tokens 37e6 --shape 1x8 --layers 4 --hidden 256 --batch 32 --microbatch 32 -o tiny",
    "uffb infer --model tiny",
    "uffb pretrain wiki-*.parquet --tokenizer vocab --hours 24 -o model",
    "uffb pretrain text.txt --tokens 37e6 --shape none -o control   # is the feedforward layer of use?",
    "uffb pretrain --dry-run --tokens 1e9   # what would it take?",
  ],
  sections: {
    "WHILE IT RUNS": [
      "Checkpoints and a log of every step lie in OUTPUT.run. Ctrl-C ends the step or gives it up, writes a checkpoint and stops; --resume goes",
      "on with the same bits, unless the budget is hours. When the result is there, OUTPUT.run goes away. The result is a folder as",
      "Hugging Face writes it, with a model card.",
    ],
  },
  exitCodes: { 130: "interrupted; the run can go on" },

  async run({ args, positionals }) {
    const { output, resume, threads, json, svg, field, documents, skipBad } = args;
    const recipe = toPretrainRecipe(args);
    const vocabulary = await openTokenizerFiles(args.tokenizer);
    const shape = toShape(args, vocabulary.tokenizer.vocabSize, recipe.length);
    if (args.dryRun) {
      const found = await estimate(shape, recipe, { threads });
      print(json ? estimateJson(found) : estimateText(found));
      return;
    }
    if (positionals.length === 0) throw new UsageError("CORPUS is missing: give files of text");
    if (output === undefined) throw new UsageError("--output is missing: give the folder to write");
    checkOutput(output, resume);
    using stop = new GracefulStop("ends this step or gives it up, and writes a checkpoint");
    const { clear, onText, ...display } = showPretraining();
    try {
      const tokens = await tokensOf(
        positionals,
        vocabulary.tokenizer,
        vocabulary.texts["tokenizer.json"]!,
        args.cache ?? runFolder(output),
        {
          mostTokens: args.mostTokens ?? MOST_TOKENS,
          field,
          documents,
          skipBad,
          onProgress: onText,
          signal: stop.signal,
        },
      );
      const outcome = await pretrain(
        { shape, vocabulary, tokens },
        {
          recipe,
          output,
          resume,
          threads,
          signal: stop.signal,
          ...display,
          describe: (found) => ({
            "README.md": pretrainCard(found, { title: basename(output), command: typed(), version }),
          }),
        },
      );
      clear();
      if (svg !== undefined) await writeWhole(svg, curvesSvg(outcome.records, basename(output)));
      print(json ? outcomeJson(outcome, output) : outcomeText(outcome));
      messages.info(`${output} is there; uffb infer --model ${output} runs it`);
    } finally {
      clear();
    }
  },
});
