import { basename } from "node:path";
import { UsageError } from "../lib/base/errors.ts";
import { writeWhole } from "../lib/base/write.ts";
import { type OwnData, readExamples } from "../lib/data/own/examples.ts";
import { KINDS } from "../lib/data/own/labels.ts";
import { METRIC_NAMES } from "../lib/data/tasks.ts";
import { modelCard } from "../lib/train/card.ts";
import { curvesSvg } from "../lib/train/curves.ts";
import { finetune } from "../lib/train/finetune.ts";
import { ownJob } from "../lib/train/own.ts";
import { FINETUNE, HEAD_ONLY } from "../lib/train/recipe.ts";
import { outcomeJson, outcomeText, startLines } from "../lib/train/report.ts";
import { version } from "../package.json";
import { grouped, skipBadArg, textArg, textPairArg, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, downloadArg, MODEL_ARGUMENT } from "./cli/model.ts";
import { recipeArgs, toRecipe } from "./cli/recipe.ts";
import { showRun } from "./cli/run.ts";
import { GracefulStop } from "./cli/stop.ts";
import { print } from "./cli/terminal.ts";
import { typed } from "./cli/typed.ts";

/** Wrong examples that are shown at the end. */
const WORST = 5;
/** Share of the data that is held out where no file to validate on is given. */
const SPLIT = 0.1;

export default command({
  meta: {
    name: "finetune",
    description: "Train a classifier on your own labelled texts",
  },
  positionals: [
    {
      name: "data",
      description:
        "CSV, TSV, JSON lines or Parquet, also gzipped: a row for each example, columns for text and label",
      required: true,
    },
  ],
  args: {
    ...grouped("MODEL AND RESULT", {
      model: {
        type: "string",
        valueHint: "path",
        description: `Where to start. ${MODEL_ARGUMENT}`,
      },
      download: downloadArg,
      output: {
        type: "string",
        alias: "o",
        valueHint: "folder",
        description: "Folder to write; default: the data's name and -model, in the current folder",
      },
      resume: { type: "boolean", description: "Go on with a run that was stopped" },
      metric: {
        type: "enum",
        options: ["loss", ...METRIC_NAMES],
        description:
          "What the best epoch is chosen by; default: accuracy; F1 for several labels; Pearson for scores",
      },
      errors: {
        type: "number",
        integer: true,
        min: 0,
        max: 1_000_000,
        valueHint: "count",
        description: `Worst examples to show at the end; default: ${WORST}`,
      },
      svg: { type: "string", valueHint: "file", description: "Draw loss and scores" },
      json: { type: "boolean", description: "Write one JSON object" },
    }),
    ...grouped("DATA", {
      text: textArg,
      textPair: textPairArg,
      label: {
        type: "string",
        valueHint: "column",
        multiple: true,
        description: "Column of the label. Several columns: each is a label, 0 or 1",
      },
      task: {
        type: "enum",
        options: KINDS,
        description:
          "What labels are; default: scores if they are numbers with fractions or many different ones, lists of labels if they are lists, else classes",
      },
      valid: {
        type: "string",
        valueHint: "file",
        description: "Examples to validate on, in a file with the same columns",
      },
      split: {
        type: "number",
        min: 0,
        max: 0.9,
        valueHint: "share",
        description: `Share of the data to hold out without --valid, the same share of each class; default: ${SPLIT}`,
      },
      skipBad: skipBadArg,
    }),
    ...grouped("TRAINING", {
      headOnly: {
        type: "boolean",
        description:
          "Run the encoder once and train only the head: takes seconds, and scores less (default: 30 epochs at 1e-3)",
      },
      classWeights: {
        type: "enum",
        options: ["none", "balanced"],
        description: "balanced: rare classes count as much as frequent ones; default: none",
      },
    }),
    ...recipeArgs,
    threads: threadsArg,
  },
  examples: [
    "uffb finetune reviews.csv",
    "uffb finetune pairs.jsonl --text a --text-pair b --label same -o pairs-model",
    "uffb finetune mail.csv --model sentence-transformers/all-MiniLM-L6-v2 --head-only",
    "uffb finetune reviews.csv --resume",
    "uffb infer --model reviews-model < texts.txt",
  ],
  sections: {
    "WHILE IT RUNS": [
      "Checkpoints and a log of every step lie in OUTPUT.run. Ctrl-C ends the step, writes a checkpoint and stops; --resume goes on with the same bits. When the result is there, OUTPUT.run goes away. The result is a folder as Hugging Face writes it, with a model card.",
    ],
  },
  exitCodes: { 130: "interrupted; the run can go on" },

  async run({ args, positionals }) {
    const [path] = positionals as [string];
    const { json, threads, resume, valid, split, skipBad, svg } = args;
    if (valid !== undefined && split !== undefined)
      throw new UsageError("--valid is what to validate on; leave --split out");
    const output = args.output ?? `${stem(path)}-model`;
    const recipe = toRecipe(args.headOnly ? HEAD_ONLY : FINETUNE, args);
    if (args.classWeights) recipe.classWeights = args.classWeights;
    const data = await readExamples(path, {
      text: args.text,
      textPair: args.textPair,
      label: args.label,
      kind: args.task,
      valid,
      split: split ?? SPLIT,
      seed: recipe.seed,
      skipBad,
    });
    for (const note of data.notes) messages.info(note);
    for (const warning of data.warnings) messages.warn(warning);
    messages.info(dataLine(data, valid));
    const job = ownJob(data, args.metric);
    if (job.valid === undefined && args.keep !== "last") recipe.keep = "last";
    using stop = new GracefulStop("ends this step and writes a checkpoint");
    const { clear, ...display } = showRun(startLines);
    try {
      const result = await finetune(job, {
        model: await chooseModel(args.model, args.download),
        recipe,
        output,
        resume,
        signal: stop.signal,
        threads,
        ...display,
        describe: (outcome) => ({
          "README.md": modelCard(outcome, {
            title: basename(output),
            command: typed(),
            version,
            data: data.origins.map(({ path, rows, sha256 }) => ({ name: basename(path), rows, sha256 })),
          }),
        }),
      });
      using _ = result.model;
      clear();
      if (svg !== undefined) await writeWhole(svg, curvesSvg(result.records, basename(output)));
      const errors = args.errors ?? WORST;
      print(json ? outcomeJson(result, output, errors) : outcomeText(result, errors));
      messages.info(`${output} is there; uffb infer --model ${output} runs it`);
    } finally {
      clear();
    }
  },
});

function stem(path: string): string {
  return basename(path)
    .replace(/\.gz$/i, "")
    .replace(/\.\w+$/, "");
}

function dataLine({ labels, train, valid, columns }: OwnData, file: string | undefined): string {
  const what = {
    classification: `${labels.names.length} classes`,
    "multi-label": `${labels.names.length} labels, any number of them at once`,
    regression: "scores",
  }[labels.kind];
  const pairs = columns.texts.length > 1 ? "pairs of texts" : "texts";
  const held =
    valid.length === 0
      ? "none to validate on"
      : `${valid.length} to validate on${file === undefined ? " (held out)" : ""}`;
  return `${train.length} ${pairs} to train on, ${held}; ${what}`;
}
