import { basename } from "node:path";
import { UsageError } from "../lib/base/errors.ts";
import { writeWhole } from "../lib/base/write.ts";
import { METRIC_NAMES } from "../lib/data/tasks.ts";
import { type DistilData, readLabelled, readTexts } from "../lib/distil/data.ts";
import { distil } from "../lib/distil/distil.ts";
import { FIT_TOKENS } from "../lib/distil/fit.ts";
import { openTeacher, type TeacherModel } from "../lib/distil/open.ts";
import { DISTIL_TASK, DISTIL_VECTORS, type DistilRecipe } from "../lib/distil/recipe.ts";
import { distilCard, outcomeJson, outcomeText, startLines } from "../lib/distil/report.ts";
import { FIT_STEPS } from "../lib/distil/student.ts";
import { type Feedforward, parseFeedforward } from "../lib/model/families/feedforward.ts";
import { curvesSvg } from "../lib/train/curves.ts";
import { checkOutput } from "../lib/train/keep.ts";
import { version } from "../package.json";
import { grouped, sizeArg, skipBadArg, textPairArg, threadsArg, type Values } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { parseLayers } from "./cli/layers.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, downloadArg, MODEL_NAMES } from "./cli/model.ts";
import { recipeArgs, toRecipe } from "./cli/recipe.ts";
import { showRun } from "./cli/run.ts";
import { GracefulStop } from "./cli/stop.ts";
import { print } from "./cli/terminal.ts";
import { typed } from "./cli/typed.ts";

/** Share that is held out: of labelled examples, and of texts alone, of which 2,000 at most. */
const SPLIT = { labelled: 0.1, texts: 0.01 };

const weight = (description: string) =>
  ({ type: "number", min: 0, max: 1e6, valueHint: "weight", description }) as const;

const weightArgs = grouped("WHAT COUNTS", {
  temperature: {
    type: "number",
    min: 0.01,
    max: 1000,
    description: "Of a classifier: divide both models' logits by this before they are compared; default: 1",
  },
  hardLabels: {
    type: "number",
    min: 0,
    max: 1,
    valueHint: "share",
    description:
      "Of a classifier: share of each target that is the label itself; default: 0, the teacher's say alone",
  },
  similarity: weight(
    "Of sentence vectors: squared difference of cosines between the texts of a batch, beside 1 for each text's own cosine with the teacher's; default: 1",
  ),
  embedding: weight("Mean squared difference of embeddings; default: 0.1, of sentence vectors 0"),
  states: weight("Of states after each layer, as the mean over layers; default: 0, of sentence vectors 1"),
  final: weight("Of final states; default: 0.1, of sentence vectors 0"),
  attention: weight(
    "Divergence of attention's probabilities from the teacher's in each layer, in nats, as the mean over layers, heads and tokens; default: 0",
  ),
});

const { labelSmoothing: _, ...shared } = recipeArgs;

/** The training flags whose defaults are others here. */
const trainArgs = {
  ...shared,
  epochs: {
    ...shared.epochs,
    description: "Epochs: how often all texts are used; default: 10, of sentence vectors 1",
  },
  lr: { ...shared.lr, description: "Largest learning rate; default: 4e-5, of sentence vectors 5e-4" },
  batch: { ...shared.batch, description: "Texts a step; default: 16, of sentence vectors 64" },
  schedule: { ...shared.schedule, description: "How the learning rate falls; default: linear" },
  warmup: {
    ...shared.warmup,
    description:
      "Share of the steps over which the rate first rises; default: 0.06, of sentence vectors 0.05",
  },
  weightDecay: {
    ...shared.weightDecay,
    description: "Weight decay of matrices and embeddings; default: 0.01",
  },
  clip: {
    ...shared.clip,
    description:
      "Largest norm of a step's gradient; larger ones are scaled down to it; 0: no limit; default: 0, of sentence vectors 1",
  },
  dropout: {
    ...shared.dropout,
    description: "Dropout probability in the student; default: 0.1, of sentence vectors 0",
  },
};

const ARGS = {
  ...grouped("TEACHER AND STUDENT", {
    teacher: {
      type: "string",
      valueHint: "path",
      description: `Classifies texts, scores them or makes sentence vectors. ${MODEL_NAMES}`,
    },
    student: {
      type: "string",
      valueHint: "path",
      description:
        "A model to train, in the same way named, or with the next ones, to make a student of: the original of a teacher in int8, say; default: the teacher",
    },
    layers: {
      type: "string",
      valueHint: "0,2,4",
      description: "Its layers that the student has; default: all",
    },
    width: sizeArg(
      "neurons",
      "Neurons of each feedforward layer that it has: those that matter most, the others folded into them and the bias; short for --shape dense:N; default: all",
    ),
    shape: {
      type: "string",
      valueHint: "dense:192+8x6",
      description:
        "What each of its layers has in place of the teacher's feedforward layer: so many neurons of it (dense:256), trees of so many levels of branches (8x6), the two side by side (dense:192+8x6), or none; :linear behind trees: their nodes put out their logits, and :after: the activation comes after their sum; default: the teacher's",
    },
    headSize: sizeArg(
      "units",
      "Units of each attention head that it has: queries and keys whose products, and values whose sums, are nearest to the teacher's; default: all",
    ),
    fit: {
      type: "number",
      integer: true,
      min: 0,
      max: 1e6,
      valueHint: "steps",
      description: `Steps of ${FIT_TOKENS.toLocaleString("en")} tokens that each of these is trained alone to do what the teacher's does, before the whole is; default: ${FIT_STEPS} for trees, else 0`,
    },
    download: downloadArg,
  }),
  ...grouped("RESULT", {
    output: { type: "string", alias: "o", valueHint: "folder", description: "Folder to write" },
    resume: { type: "boolean", description: "Go on with a run that was stopped" },
    metric: {
      type: "enum",
      options: ["loss", ...METRIC_NAMES],
      description: "Of a classifier: what the best epoch is chosen by; default: as uffb finetune",
    },
    svg: { type: "string", valueHint: "file", description: "Draw loss and scores" },
    json: { type: "boolean", description: "Write one JSON object" },
  }),
  ...grouped("DATA", {
    text: {
      type: "string",
      valueHint: "column",
      description: "Column of the text; default: an obvious one, or text",
    },
    textPair: textPairArg,
    label: {
      type: "string",
      valueHint: "column",
      multiple: true,
      description: "Of a classifier: column of the label",
    },
    valid: { type: "string", valueHint: "file", description: "Of a classifier: examples to validate on" },
    split: {
      type: "number",
      min: 0,
      max: 0.9,
      valueHint: "share",
      description: `Share of the data to hold out without --valid; default: ${SPLIT.labelled}, of sentence vectors ${SPLIT.texts} and at most 2,000 texts`,
    },
    skipBad: skipBadArg,
    cache: {
      type: "string",
      valueHint: "folder",
      description: "Keep what the teacher says here, for other runs; default: OUTPUT.run, which goes away",
    },
  }),
  ...weightArgs,
  ...trainArgs,
  threads: threadsArg,
} as const;

export default command({
  meta: {
    name: "distill",
    description: "Train a smaller model to say what a larger one says",
  },
  positionals: [
    {
      name: "data",
      description:
        "For a classifier a table as uffb finetune reads it; for sentence vectors one or more files of texts: plain lines, or CSV, TSV, JSON lines or Parquet with a column of texts; also packed by gzip or xz",
      required: true,
      multiple: true,
    },
  ],
  args: ARGS,
  examples: [
    "uffb distill sentences.txt --teacher all-MiniLM-L6-v2 --width 256 -o small",
    "uffb distill reviews.csv --teacher reviews-model --layers 0,2 --width 512 -o reviews-small",
    "uffb distill sentences.txt --teacher all-MiniLM-L6-v2 --shape dense:192+8x6:linear -o mixed",
    "uffb distill reviews.csv --teacher large --student small --states 0 --embedding 0 --final 0 -o taught",
    "uffb distill reviews.csv --teacher reviews-model --layers 0,2 --attention 1 -o reviews-half",
    "uffb distill sentences.txt --teacher minilm-int8.safetensors --student all-MiniLM-L6-v2 --width 256 -o small   # a faster teacher",
    "uffb distill sentences.txt --teacher all-MiniLM-L6-v2 --width 256 --head-size 24 -o small",
    "uffb distill sentences.txt --teacher all-MiniLM-L6-v2 --width 256 -o small --resume",
  ],
  sections: {
    "HOW IT LEARNS": [
      "A classifier learns the teacher's distribution over classes, a model of scores these, one of sentence vectors the direction of the vectors and how alike those of a batch are. States are compared where both models have as many numbers a token and read the same tokens: of a student that was made of its teacher, each layer with the last one of the teacher's that it stands for.",
      "With --attention 1, say, the student's layers also learn to attend as these do: each token's probabilities of each head are pulled towards the teacher's, by their divergence. States may then differ in size, but layers that are compared have equally many heads, and both models read the same tokens. The teacher's queries and keys come batch by batch and never kept on disk: a token's take 8 bytes for each number of a layer's width, which the memory that is printed counts. Probabilities are computed from them where they are needed.",
      "Trees are made layer by layer: each reads the teacher's states and is trained to give what the teacher gives behind the LayerNorm that follows; its error there is printed, as a share of the variance. transformers has no such feedforward layers, nor blocks without any, and refuses the folder: a narrower dense layer is what it holds. docs/files.md has the format.",
      "Narrower heads are made of what 8,192 tokens tell: of the products of queries and keys, and of values and the projection behind them, what varies most stays.",
      "Without states and attention the teacher's outputs are computed once, and kept with a hash of teacher and texts; with either it runs beside the student.",
    ],
    "WHILE IT RUNS": [
      "Checkpoints and a log of every step lie in OUTPUT.run. Ctrl-C ends the step, writes a checkpoint and stops; --resume goes on with the same bits.",
    ],
  },
  exitCodes: { 130: "interrupted; the run can go on" },

  async run({ args, positionals }) {
    const { output, json, threads, resume, svg, student, cache, download } = args;
    if (output === undefined) throw new UsageError("--output is missing: give the folder to write");
    if (args.teacher === undefined)
      throw new UsageError("--teacher is missing: give the model to learn from");
    const { headSize, fit } = args;
    const kept = { layers: parseLayers(args.layers), feedforward: parseShape(args), headSize, fit };
    checkOutput(output, resume);
    using teacher = await openTeacher(await chooseModel(args.teacher, download));
    const base = teacher.compared === "vectors" ? DISTIL_VECTORS : DISTIL_TASK;
    const recipe: DistilRecipe = { ...base, ...toRecipe(base, args), ...given(args) };
    const data = await readData(teacher, positionals, args, recipe.seed);
    for (const note of data.notes) messages.info(note);
    for (const warning of data.warnings) messages.warn(warning);
    const { train, valid } = data;
    messages.info(`${train.texts.length} texts to train on, ${valid?.texts.length ?? "none"} to validate on`);
    using stop = new GracefulStop("ends this step and writes a checkpoint");
    const { clear, ...display } = showRun(startLines);
    try {
      const outcome = await distil(teacher, data, {
        student: student === undefined ? undefined : await chooseModel(student, download),
        kept,
        recipe,
        output,
        cache,
        resume,
        threads,
        signal: stop.signal,
        ...display,
        describe: (found) => ({
          "README.md": distilCard(found, { title: basename(output), command: typed(), version }),
        }),
      });
      clear();
      if (svg !== undefined) await writeWhole(svg, curvesSvg(outcome.records, basename(output)));
      print(json ? outcomeJson(outcome, output) : outcomeText(outcome));
      if (kept.feedforward !== undefined && kept.feedforward.kind !== "dense")
        messages.info(
          `transformers has no such feedforward layers and refuses ${output}; --shape dense:N makes one that it loads`,
        );
      if (headSize !== undefined && headSize !== teacher.model.config.arch.headSize)
        messages.info(
          `transformers takes no notice of head_dim in config.json and refuses ${output}; leave --head-size out for a model that it loads`,
        );
      const embeds = teacher.compared === "vectors" ? " --embed" : "";
      messages.info(`${output} is there; uffb infer --model ${output}${embeds} runs it`);
    } finally {
      clear();
    }
  },
});

/** @throws UsageError for two that say the same */
function parseShape({ shape, width }: Pick<Values<typeof ARGS>, "shape" | "width">): Feedforward | undefined {
  if (shape !== undefined && width !== undefined)
    throw new UsageError(`--width ${width} is short for --shape dense:${width}; give one of the two`);
  if (width !== undefined) return { kind: "dense", width };
  return shape === undefined ? undefined : parseFeedforward(shape);
}

const KEYS = Object.keys(weightArgs) as (keyof typeof weightArgs)[];

function given(args: Values<typeof weightArgs>): Partial<DistilRecipe> {
  return Object.fromEntries(KEYS.filter((key) => args[key] !== undefined).map((key) => [key, args[key]]));
}

function readData(
  teacher: TeacherModel,
  paths: readonly string[],
  args: Values<typeof ARGS>,
  seed: number,
): Promise<DistilData> {
  const { text, textPair, label, valid, split, skipBad, metric } = args;
  if (teacher.compared === "vectors") {
    const needless = { "text-pair": textPair, label: label[0], valid, metric };
    for (const [flag, value] of Object.entries(needless))
      if (value !== undefined)
        throw new UsageError(`--${flag} is for a teacher that classifies; this one makes sentence vectors`);
    return readTexts(paths, { field: text, split: split ?? SPLIT.texts, skipBad, seed });
  }
  const [path, ...others] = paths as [string];
  if (others.length > 0) throw new UsageError("a teacher that classifies takes one file; write them as one");
  if (valid !== undefined && split !== undefined)
    throw new UsageError("--valid is what to validate on; leave --split out");
  const options = { text, textPair, label, valid, split: split ?? SPLIT.labelled, seed, skipBad };
  return readLabelled(path, { config: teacher.model.config, source: teacher.model.source }, options, metric);
}
