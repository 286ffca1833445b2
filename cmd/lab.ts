import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { UsageError } from "../lib/base/errors.ts";
import { count, percent } from "../lib/base/numbers.ts";
import { fitTable } from "../lib/base/table.ts";
import { describeMachine } from "../lib/bench/measure/machine.ts";
import { runIso } from "../lib/lab/iso/iso.ts";
import { PRESET_NAMES, planOf } from "../lib/lab/iso/plan.ts";
import { findings } from "../lib/lab/iso/report.ts";
import type { Row } from "../lib/lab/iso/results.ts";
import { openTokenizerFiles } from "../lib/model/tokenizer.ts";
import { tokensOf } from "../lib/train/pretrain/tokens.ts";
import { computeArg, grouped, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { GracefulStop } from "./cli/stop.ts";
import { print, statusLine, textColumns } from "./cli/terminal.ts";
import { typed } from "./cli/typed.ts";

const EXPERIMENTS = ["iso"];
/** Seconds in which all models are timed. */
const SECONDS = 20;

export default command({
  meta: {
    name: "lab",
    description: "Train models alike that differ in one thing, and show what it is worth",
  },
  positionals: [
    {
      name: "experiment",
      description: "iso: models that differ in their feedforward layers alone",
      required: true,
    },
    { name: "corpus", description: "Text, as uffb pretrain reads it", required: true, multiple: true },
  ],
  args: {
    ...grouped("EXPERIMENT", {
      preset: {
        type: "enum",
        options: PRESET_NAMES,
        description:
          "Size of the experiment: hour and day are about what two cores take; tiny takes seconds and shows nothing; default: hour",
      },
      shapes: {
        type: "string",
        valueHint: "list",
        description:
          "Feedforward layers, separated by commas, as --shape of uffb pretrain; :balanced after trees moves their biases so that tokens go either way as often, :noisy adds noise where tokens choose their ways; default: the preset's",
      },
      seeds: {
        type: "number",
        integer: true,
        min: 1,
        max: 100,
        description: "Models of each shape; default: the preset's",
      },
      tokens: {
        type: "number",
        integer: true,
        min: 1000,
        max: 1e12,
        description: "Tokens that each model learns from; default: the preset's",
      },
      compute: computeArg,
    }),
    ...grouped("RESULT", {
      output: {
        type: "string",
        alias: "o",
        valueHint: "folder",
        required: true,
        description: "Folder for models and results; the same command goes on there",
      },
      tokenizer: {
        type: "string",
        valueHint: "path",
        description: "Folder with a tokenizer.json; default: the built-in model's",
      },
    }),
    threads: threadsArg,
  },
  examples: [
    "uffb lab iso text.txt.xz -o iso",
    "uffb lab iso text.txt.xz --preset tiny -o try",
    "uffb lab iso text.txt.xz --shapes none,dense:12,1x8,1x8:balanced --seeds 3 -o trees",
  ],
  sections: {
    RESULT: [
      "iso.md, iso.csv and iso.svg: held-out loss and accuracy against measured time and active neurons. Models are trained one after the other on the same tokens in the same order, and timed in turn at the end.",
      "Ctrl-C ends the step and writes a checkpoint; the same command goes on. Shapes and seeds can be added later.",
    ],
  },
  exitCodes: { 130: "interrupted; the same command goes on" },

  async run({ args, positionals }) {
    const [experiment, ...corpus] = positionals as [string, ...string[]];
    if (!EXPERIMENTS.includes(experiment))
      throw new UsageError(`unknown experiment ${experiment}; there is ${EXPERIMENTS.join(", ")}`);
    const { preset = "hour", output, tokenizer, threads } = args;
    const plan = planOf(preset, args);
    const vocabulary = await openTokenizerFiles(tokenizer);
    mkdirSync(output, { recursive: true });
    using stop = new GracefulStop("ends this step or gives it up, and writes a checkpoint");
    const line = statusLine();
    try {
      const text = vocabulary.texts["tokenizer.json"]!;
      const tokens = await tokensOf(corpus, vocabulary.tokenizer, text, join(output, "tokens"), {
        mostTokens: 1,
        signal: stop.signal,
        onProgress: (found) => line.show(() => `reading text: ${count(found)} tokens`),
      });
      let what = "";
      const rows = await runIso(
        { plan, vocabulary, tokens, folder: output },
        {
          threads,
          signal: stop.signal,
          seconds: preset === "tiny" ? 0.2 : SECONDS,
          facts: {
            command: typed(),
            machine: describeMachine().cpu,
            corpus: corpus.map((path) => basename(path)).join(", "),
          },
          onModel: ({ name }, seed, done, all) => {
            what = `model ${done + 1} of ${all}, ${name}, seed ${seed}`;
          },
          onStep: ({ share, loss }) => line.show(() => `${what}: ${percent(share)}, loss ${loss.toFixed(3)}`),
          onTrained: ({ name, seed, loss, accuracy }) => {
            line.clear();
            messages.info(
              `${name}, seed ${seed}: held-out loss ${loss.toFixed(4)}, accuracy ${percent(accuracy)}`,
            );
          },
          onWarning: (warning) => {
            line.clear();
            messages.warn(warning);
          },
          onTiming: (done) => line.show(() => `timing: ${percent(done)}`),
        },
      );
      line.clear();
      print(isoText(rows));
      messages.info(`${join(output, "iso.md")}, iso.csv and iso.svg are there`);
    } finally {
      line.clear();
    }
  },
});

function isoText(rows: readonly Row[]): string {
  const head = ["feedforward", "active", "loss", "±", "accuracy", "bits", "µs/token"];
  const cells = rows.map(({ name, active, loss, accuracy, bits, batched }) => [
    name,
    count(active),
    loss.mean.toFixed(4),
    loss.deviation.toFixed(4),
    percent(accuracy.mean),
    bits?.toFixed(1) ?? "–",
    (1e6 * batched).toPrecision(3),
  ]);
  const lines = fitTable(head, cells, {
    columns: textColumns(),
    spare: ["±", "bits"],
    right: (column) => column > 0,
  });
  return `${[...lines, "", ...findings(rows)].join("\n")}\n`;
}
