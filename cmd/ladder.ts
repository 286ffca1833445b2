import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { UsageError } from "../lib/base/errors.ts";
import { fitTable } from "../lib/base/table.ts";
import { writeWhole } from "../lib/base/write.ts";
import { describeMachine } from "../lib/bench/measure/machine.ts";
import { fetchSplit } from "../lib/data/fetch.ts";
import { type Dataset, loadSplit } from "../lib/data/load.ts";
import { checkpointName, findTasks, type Split, TASK_NAMES, TASKS, type Task } from "../lib/data/tasks.ts";
import { DISTIL_TASK } from "../lib/distil/recipe.ts";
import { distilCard, startLines } from "../lib/distil/report.ts";
import { openCheckpoint } from "../lib/files/checkpoint.ts";
import { chart } from "../lib/ladder/chart.ts";
import { climb } from "../lib/ladder/ladder.ts";
import { cellsOf, csv, json, type LadderFacts, linesOf, markdown, notesOf } from "../lib/ladder/report.ts";
import { chooseRungs, chooseTrees, RUNGS } from "../lib/ladder/rungs.ts";
import { findPython } from "../lib/ladder/torch.ts";
import { loadConfig } from "../lib/model/config.ts";
import { version } from "../package.json";
import { computeArg, grouped, sizeArg, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { parseLayers } from "./cli/layers.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, downloadArg, MODEL_NAMES } from "./cli/model.ts";
import { showRun } from "./cli/run.ts";
import { GracefulStop } from "./cli/stop.ts";
import { print, textColumns, workLine } from "./cli/terminal.ts";
import { typed } from "./cli/typed.ts";

/** Dollars an hour of the machine of FastFormers' table. */
const PRICE = 0.796;
const REPEAT = 5;
/** Points that FastFormers lost. */
const MOST_LOST = 1.2;
/** The rungs that need the training set. */
const LEARN = ["distilled", "pruned", "trees"];

export default command({
  meta: {
    name: "ladder",
    description: "Make a classifier cheaper step by step, and show what each step is worth",
  },
  positionals: [{ name: "task", description: `One of ${TASK_NAMES.join(", ")}`, required: true }],
  args: {
    ...grouped("MODEL AND DATA", {
      teacher: {
        type: "string",
        valueHint: "path",
        required: true,
        description: `A model fine-tuned for the task. ${MODEL_NAMES}`,
      },
      download: downloadArg,
      data: {
        type: "string",
        valueHint: "folder",
        description: "Folder with GLUE's own folders in it; default: the Hugging Face cache, else a download",
      },
      limit: {
        type: "number",
        integer: true,
        min: 1,
        max: 1e9,
        valueHint: "rows",
        description: "Use so many rows of each split only, to try it out",
      },
    }),
    ...grouped("RUNGS", {
      rungs: {
        type: "string",
        valueHint: "list",
        description: `Which ones, in which order, separated by commas; default: ${RUNGS.map(({ name }) => name).join(", ")}`,
      },
      python: {
        type: "string",
        valueHint: "program",
        description: "Python with torch and transformers, for the first rungs; default: python3",
      },
      repeat: {
        type: "number",
        integer: true,
        min: 1,
        max: 1000,
        description: `Rounds in which all rungs run the dev set in turn, of which the median counts; default: ${REPEAT}`,
      },
      price: {
        type: "number",
        min: 0,
        max: 1e6,
        valueHint: "dollars",
        description: `What the machine costs an hour; default: ${PRICE}`,
      },
    }),
    ...grouped("DISTILLED, PRUNED, TREES", {
      layers: {
        type: "string",
        valueHint: "0,2,4",
        description: "The teacher's layers that the student has; default: every second",
      },
      width: sizeArg("neurons", "Neurons of each feedforward layer that it has; default: half"),
      headSize: sizeArg("units", "Units of each attention head that it has; default: the teacher's"),
      pruneWidth: sizeArg(
        "neurons",
        "Neurons of each feedforward layer after pruning; default: half of --width",
      ),
      pruneHeads: sizeArg("heads", "Attention heads of all layers together after pruning; default: all stay"),
      trees: {
        type: "string",
        valueHint: "dense:64+9x6",
        description:
          "What takes the place of feedforward layers on the rung of trees, as uffb distill --shape; default: half the neurons after pruning, and beside them as many in walked paths of trees of depth 6",
      },
      mostLost: {
        type: "number",
        min: 0,
        max: 100,
        valueHint: "points",
        description: `Points of the score that trees may lose against the teacher for later rungs to have them; default: ${MOST_LOST}`,
      },
      epochs: {
        type: "number",
        integer: true,
        min: 1,
        max: 10_000,
        description: `How often the training set is used; default: ${DISTIL_TASK.epochs}`,
      },
      batch: {
        type: "number",
        integer: true,
        min: 1,
        max: 1 << 20,
        valueHint: "n",
        description: `Texts a step; default: ${DISTIL_TASK.batch}`,
      },
      lr: {
        type: "number",
        min: 0,
        max: 1e6,
        valueHint: "rate",
        description: `Largest learning rate; default: ${DISTIL_TASK.lr}`,
      },
      seed: {
        type: "number",
        integer: true,
        min: 0,
        max: 2 ** 32 - 1,
        description: `Seed; default: ${DISTIL_TASK.seed}`,
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
      json: { type: "boolean", description: "Write one JSON object" },
    }),
    threads: {
      ...threadsArg,
      description: "CPU threads of training; default: all that this process may use",
    },
  },
  examples: [
    "uffb ladder sst2 --teacher sst2-model -o ladder",
    "uffb ladder mrpc --teacher mrpc-model --layers 0,2,4 --width 384 --compute bf16 -o ladder",
    "uffb ladder sst2 --teacher sst2-model --rungs dynamic,int8,instances -o quick",
  ],
  sections: {
    RESULT: [
      "ladder.md, ladder.csv, ladder.json and ladder.svg; each rung's model lies in a folder of the rung's name. A rung that makes things worse is shown, too; where that is the one of trees, later rungs are made of the model before. Texts run one at a time on one thread, on the last rung on one thread a core; rungs take turns.",
      "Ctrl-C ends the step and writes a checkpoint; the same command goes on. What is finished is not done again.",
    ],
  },
  exitCodes: { 130: "interrupted; the same command goes on" },

  async run({ args, positionals }) {
    const tasks = findTasks(positionals);
    if (tasks.length !== 1) throw new UsageError("a ladder is for one task; give one");
    const task = tasks[0]!;
    const { output, limit, price = PRICE, repeat = REPEAT, threads = 0 } = args;
    const rungs = chooseRungs(args.rungs);
    const layers = parseLayers(args.layers);
    const teacher = await chooseModel(args.teacher, args.download);
    if (teacher === undefined)
      throw new UsageError("--teacher is missing: give a model fine-tuned for the task");
    const { arch } = loadConfig(openCheckpoint(teacher));
    const width = args.width ?? Math.ceil(arch.width / 2);
    const pruneWidth = args.pruneWidth ?? Math.ceil(width / 2);
    const trees = chooseTrees(args.trees, pruneWidth);
    const load = async (of: Task, split: Split): Promise<Dataset> => {
      const found = await loadSplit(of, split, {
        data: args.data,
        download: (t, s) => fetchSplit(t, s, () => {}),
      });
      return limit === undefined ? found : { ...found, examples: found.examples.slice(0, limit) };
    };
    const dev = await load(task, "dev");
    const learnt = TASKS.find(({ name }) => name === checkpointName(task)) ?? task;
    const train = rungs.some(({ name }) => LEARN.includes(name))
      ? await load(learnt, "train")
      : { ...dev, examples: [] };
    const python = rungs.some(({ peer }) => peer) ? await findPython(args.python ?? "python3") : undefined;
    if (args.python !== undefined && python === undefined)
      throw new UsageError(`--python ${args.python}: is no program with torch and transformers`);
    mkdirSync(output, { recursive: true });
    using stop = new GracefulStop("ends this step or gives it up, and writes a checkpoint");
    const { clear, ...display } = showRun(startLines);
    const line = workLine();
    const {
      batch = DISTIL_TASK.batch,
      lr = DISTIL_TASK.lr,
      epochs = DISTIL_TASK.epochs,
      seed = DISTIL_TASK.seed,
      compute = DISTIL_TASK.compute,
    } = args;
    try {
      const result = await climb(
        {
          teacher,
          train,
          dev,
          folder: output,
          kept: {
            layers: layers ?? Array.from({ length: Math.ceil(arch.layers / 2) }, (_, i) => 2 * i),
            feedforward: { kind: "dense", width },
            headSize: args.headSize,
          },
          pruneWidth,
          pruneHeads: args.pruneHeads,
          trees,
          mostLost: (args.mostLost ?? MOST_LOST) / 100,
          recipe: { ...DISTIL_TASK, batch, lr, epochs, seed, compute },
          repeat,
          threads,
          python,
          signal: stop.signal,
          display: {
            ...display,
            describe: (outcome) => ({
              "README.md": distilCard(outcome, { title: basename(output), command: typed(), version }),
            }),
          },
          onProgress: (title, done, total) => line.show(title, done, total),
        },
        rungs,
      );
      clear();
      if (result.steps.length === 0) throw new UsageError(`no rung is left: ${result.left.join("; ")}`);
      const facts: LadderFacts = {
        task,
        examples: dev.examples.length,
        price,
        cpu: describeMachine().cpu,
        command: typed(),
        peer: python?.versions,
        limit,
      };
      const lines = linesOf(result.steps, facts);
      const files = {
        "ladder.md": markdown(result, facts),
        "ladder.csv": csv(result, facts),
        "ladder.json": json(result, facts),
        "ladder.svg": chart(lines, facts),
      };
      for (const [name, text] of Object.entries(files)) await writeWhole(join(output, name), text);
      const [head, ...rows] = cellsOf(lines, facts);
      print(
        args.json
          ? files["ladder.json"]
          : `${[...fitTable(head!, rows, { columns: textColumns(), spare: ["size", "over the one before"], right: (c) => c > 0 }), "", ...notesOf(result, facts)].join("\n")}\n`,
      );
      messages.info(`${join(output, "ladder.md")}, ladder.csv, ladder.json and ladder.svg are there`);
    } finally {
      clear();
      line.clear();
    }
  },
});
