import { UsageError } from "../lib/base/errors.ts";
import { readNamed } from "../lib/base/read.ts";
import { writeWhole } from "../lib/base/write.ts";
import { fetchSplit } from "../lib/data/fetch.ts";
import { findTasks, TASK_NAMES, type Task } from "../lib/data/tasks.ts";
import { compare } from "../lib/eval/glue/compare.ts";
import { takesCosine } from "../lib/eval/glue/cosine.ts";
import { glue, glueLadders, type TaskOptions } from "../lib/eval/glue/glue.ts";
import { parsePredictions } from "../lib/eval/glue/predictions.ts";
import { comparisonText } from "../lib/eval/glue/report/compare.ts";
import { ladderJson, ladderText } from "../lib/eval/glue/report/ladder.ts";
import { SPARE_METRICS, toJson, toText } from "../lib/eval/glue/report/tasks.ts";
import { Progress } from "../lib/hub/progress.ts";
import type { Model } from "../lib/model/model.ts";
import { openDevice } from "../lib/run/device.ts";
import { modelCard } from "../lib/train/card.ts";
import { curvesSvg } from "../lib/train/curves.ts";
import { openForTask } from "../lib/train/glue.ts";
import { GLUE_SANE } from "../lib/train/recipe.ts";
import { startLines } from "../lib/train/report.ts";
import { type SeedRun, seedsJson, seedsText } from "../lib/train/seeds.ts";
import { version } from "../package.json";
import { deviceArgs, flagName, grouped, threadsArg, type Values } from "./cli/args.ts";
import { COMMON, command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, downloadArg, MODEL_ARGUMENT } from "./cli/model.ts";
import { recipeArgs, toRecipe } from "./cli/recipe.ts";
import { showRun } from "./cli/run.ts";
import { GracefulStop } from "./cli/stop.ts";
import { outputColumns, print, progressColumns, toStderr, workLine } from "./cli/terminal.ts";
import { typed } from "./cli/typed.ts";

const args = {
  ...grouped("MODEL AND DATA", {
    model: {
      type: "string",
      valueHint: "path",
      description: `${MODEL_ARGUMENT}. {task} in it stands for the task's name. One without a head is fine-tuned first`,
    },
    download: downloadArg,
    force: {
      type: "boolean",
      description: "Take labels that the task calls otherwise in the order of its classes",
    },
    data: {
      type: "string",
      valueHint: "folder",
      description:
        "Folder with GLUE's or SuperGLUE's own folders in it, or that of one task; default: the Hugging Face cache, else a download",
    },
  }),
  ...grouped("RESULTS", {
    json: { type: "boolean", description: "Write one JSON object" },
    predictions: {
      type: "string",
      valueHint: "file",
      description: "Write each example's prediction as a JSON line; {task} for several tasks",
    },
    errors: {
      type: "number",
      integer: true,
      min: 1,
      max: 1_000_000,
      valueHint: "count",
      description: "Show the worst examples of each task",
    },
    submission: {
      type: "string",
      valueHint: "folder",
      description: "Predict the test sets, too, and write the GLUE server's files here",
    },
    cosine: {
      type: "boolean",
      description: "Score the two texts of STS-B by the cosine of their vectors: for embedding models",
    },
  }),
  ...grouped("TRAINING, of a model without head", {
    seeds: {
      type: "number",
      integer: true,
      min: 1,
      max: 1000,
      valueHint: "count",
      description: "Fine-tune with so many seeds, from --seed on, and show median and spread",
    },
    save: {
      type: "string",
      valueHint: "folder",
      description: "Keep the fine-tuned model here; {task} for several tasks, {seed} for several seeds",
    },
    resume: { type: "boolean", description: "Go on with a run of --save that was stopped" },
    svg: {
      type: "string",
      valueHint: "file",
      description: "Draw loss and scores; {task} for several tasks, {seed} for several seeds",
    },
    ...recipeArgs,
  }),
  ...deviceArgs,
  threads: threadsArg,
  ...grouped("RUNNING", {
    instances: {
      type: "number",
      integer: true,
      min: 1,
      max: 1024,
      description:
        "Number of engines that share the model, each with one thread, instead of one engine with all threads",
    },
    batchTokens: {
      type: "number",
      integer: true,
      min: 1,
      max: 1_000_000,
      description: "Most tokens in a batch. It changes speed; results only on a device, in the last digits",
    },
  }),
  ...grouped("TIMING", {
    ladder: {
      type: "boolean",
      description:
        "Instead of scoring, time fixed length, dynamic length, and one instance a core, in one table",
    },
    int8: {
      type: "string",
      valueHint: "file",
      description: "The same checkpoint from uffb convert --dtype int8, for the last rungs of --ladder",
    },
    fixedLength: {
      type: "boolean",
      description: "Pad every input to the maximum, to show what dynamic length saves",
    },
  }),
} as const;

export default command({
  meta: {
    name: "glue",
    description: "Fine-tune and evaluate a model on GLUE and SuperGLUE, or compare two",
  },
  positionals: [
    {
      name: "task",
      description: `Tasks: ${TASK_NAMES.join(", ")}; or "compare" and two files that --predictions wrote`,
      required: true,
      multiple: true,
    },
  ],
  args,
  examples: [
    "uffb glue mrpc",
    "uffb glue rte --model pbelcak/UltraFastBERT-1x11-long --seeds 5",
    "uffb glue sst2 --save sst2-model --epochs 3",
    "uffb glue sst2 --model checkpoints/sst2",
    "uffb glue all --model 'checkpoints/{task}' --data glue_data",
    "uffb glue mrpc --model a --predictions a.jsonl --errors 10",
    "uffb glue compare a.jsonl b.jsonl",
    "uffb glue mrpc --model a --ladder --int8 a-int8.uffb.safetensors",
    "uffb glue stsb --model all-MiniLM-L6-v2 --cosine",
    "uffb glue all --model 'checkpoints/{task}' --submission upload",
  ],
  sections: {
    "NARROW TERMINALS": [
      `Columns that do not fit are left out: ${SPARE_METRICS.join(", ")}; the first first.`,
    ],
  },

  async run({ args, positionals }) {
    if (positionals[0] === "compare") {
      only(["json"], args, "compare only reads predictions");
      return compareFiles(positionals.slice(1), args.json);
    }
    const tasks = findTasks(positionals);
    const { json } = args;
    const all = positionals.some((name) => name.toLowerCase() === "all");
    const seeds = args.seeds ?? 1;
    checkPlaces(args, tasks.length, seeds);
    if (args.instances !== undefined && args.threads !== undefined) {
      throw new UsageError("--instances have one thread each; leave --threads out");
    }
    if (args.instances !== undefined && args.device !== undefined && args.device !== "cpu") {
      throw new UsageError("--instances are engines on the CPU; with --device, leave --instances out");
    }
    if (args.cosine) checkCosine(tasks, args);
    if (args.int8 !== undefined && !args.ladder)
      throw new UsageError("--int8 is for --ladder; give an 8-bit model as --model");
    const trains = !args.cosine && !args.ladder;
    const model = args.model?.includes("{task}") ? args.model : await chooseModel(args.model, args.download);
    if (!trains && model === undefined)
      throw new UsageError("give --model a checkpoint; only fine-tuning starts from the built-in model");
    const { clear, ...show } = display();
    const options = { ...args, ...show, model, lenient: all, device: undefined };
    try {
      if (args.ladder) {
        only(
          ["ladder", "int8", "model", "data", "batchTokens", "json", "force"],
          args,
          "--ladder times its own settings",
        );
        const reports = await glueLadders(tasks, options);
        clear();
        print(json ? ladderJson(reports) : ladderText(reports, outputColumns()));
      } else {
        const device = openDevice(args.device, args.deviceDtype);
        const runs: SeedRun[] = [];
        for (let i = 0; i < seeds; i++) {
          const seed = (args.seed ?? GLUE_SANE.seed) + i;
          const predictions = args.predictions?.replaceAll("{seed}", String(seed));
          const open = trains ? opener({ args, seed, all, data: options }) : undefined;
          runs.push({ seed, reports: await glue(tasks, { ...options, device, predictions, open }) });
        }
        clear();
        const { reports } = runs[0]!;
        if (seeds > 1) print(json ? seedsJson(runs) : seedsText(runs, outputColumns()));
        else print(json ? toJson(reports) : toText(reports, outputColumns()));
      }
    } finally {
      clear();
    }
  },
});

/** @throws UsageError when several results would go to one place */
function checkPlaces(
  {
    predictions,
    save,
    svg,
    submission,
    resume,
  }: Pick<GlueArgs, "predictions" | "save" | "svg" | "submission" | "resume">,
  tasks: number,
  seeds: number,
): void {
  for (const [flag, place] of Object.entries({ predictions, save, svg })) {
    if (place === undefined) continue;
    if (tasks > 1 && !place.includes("{task}"))
      throw new UsageError(`several tasks need several places: --${flag} '…/{task}'`);
    if (seeds > 1 && !place.includes("{seed}"))
      throw new UsageError(`several seeds need several places: --${flag} '…-{seed}'`);
  }
  if (seeds > 1 && submission !== undefined)
    throw new UsageError("--submission takes one model's answers; leave --seeds out");
  if (resume && save === undefined)
    throw new UsageError("--resume goes on with a run of --save; give that, too");
}

type GlueArgs = Values<typeof args>;

/** Opens the model for a task, and fine-tunes it by GLUE-sane, as far as flags do not differ, where it has no head. */
function opener({
  args,
  seed,
  all,
  data,
}: {
  args: GlueArgs;
  seed: number;
  all: boolean;
  data: TaskOptions;
}) {
  const recipe = { ...toRecipe(GLUE_SANE, args), seed };
  const flags = [...Object.keys(recipeArgs), "save", "seeds", "resume", "svg"] as (keyof GlueArgs)[];
  const wanted = flags.some((key) => args[key] !== undefined && args[key] !== false);
  return async (path: string | undefined, task: Task): Promise<Model> => {
    using stop = new GracefulStop(
      args.save === undefined ? "ends this step" : "ends this step and writes a checkpoint",
    );
    const { clear, ...display } = showRun(startLines);
    try {
      return await openForTask(path, task, {
        ...display,
        recipe,
        wanted,
        shared: all && !args.model?.includes("{task}"),
        output: args.save?.replaceAll("{seed}", String(seed)),
        resume: args.resume,
        threads: args.threads,
        signal: stop.signal,
        data: { data: args.data, download: (t, split) => fetchSplit(t, split, data.onDownload) },
        onTrain: (source, { title }) =>
          messages.info(`${source} has no head for ${title}; it is fine-tuned first, as for the paper`),
        describe: (job, outcome) => ({
          "README.md": modelCard(outcome, {
            title: `${job.task.title} (${outcome.start.source})`,
            command: typed(),
            version,
            data: job.sets,
          }),
        }),
        onTrained: async (job, outcome) => {
          const place = args.svg?.replaceAll("{task}", job.task.name).replaceAll("{seed}", String(seed));
          if (place !== undefined) await writeWhole(place, curvesSvg(outcome.records, job.task.title));
        },
      });
    } finally {
      clear();
    }
  };
}

/** @throws UsageError when a flag is given that is none of these, nor one that every command has */
function only(keys: readonly string[], args: Record<string, unknown>, why: string): void {
  const meant = [...keys, ...Object.keys(COMMON), "download"];
  const other = Object.keys(args).find(
    (key) => !meant.includes(key) && args[key] !== undefined && args[key] !== false,
  );
  if (other !== undefined) throw new UsageError(`${why}; leave --${flagName(other)} out`);
}

/** @throws UsageError for tasks and flags that cosines have no meaning for */
function checkCosine(tasks: readonly Task[], args: Record<string, unknown>): void {
  const other = tasks.find((task) => !takesCosine(task));
  if (other) throw new UsageError(`${other.title} does not score two texts, which --cosine is for`);
  const running = ["threads", "instances", "batchTokens", "device", "deviceDtype"];
  const flags = ["cosine", "model", "data", "json", "predictions", ...running];
  only(flags, args, "--cosine compares vectors");
}

/** Shows progress on a terminal; `clear` erases it. */
function display(): Pick<TaskOptions, "onWarning" | "onProgress" | "onDownload"> & { clear(): void } {
  const downloads = new Progress({ write: toStderr, columns: progressColumns() });
  const line = workLine();
  const clear = () => {
    downloads.clear();
    line.clear();
  };
  return {
    clear,
    onDownload: downloads.show,
    onProgress: ({ title }, split, done, total) => line.show(`${title} ${split}`, done, total),
    onWarning: (text) => {
      clear();
      messages.warn(text);
    },
  };
}

/** Largest file of predictions, in bytes: some ten million examples. */
const MAX_PREDICTIONS = 2 ** 30;

async function compareFiles(files: readonly string[], json: boolean): Promise<void> {
  const [a, b, more] = files;
  if (a === undefined || b === undefined || more !== undefined)
    throw new UsageError("compare takes two files of predictions");
  const read = async (path: string) => parsePredictions(await readNamed(path, MAX_PREDICTIONS), path);
  const comparison = compare(await read(a), await read(b), [a, b]);
  print(
    json
      ? `${JSON.stringify({ a, b, ...comparison }, null, 2)}\n`
      : comparisonText(comparison, [a, b], outputColumns()),
  );
}
