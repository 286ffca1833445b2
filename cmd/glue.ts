import { UsageError } from "../lib/base/errors.ts";
import { bar } from "../lib/base/progress.ts";
import { readNamed } from "../lib/base/read.ts";
import { findTasks, TASK_NAMES, type Task } from "../lib/data/tasks.ts";
import { compare } from "../lib/eval/glue/compare.ts";
import { takesCosine } from "../lib/eval/glue/cosine.ts";
import { glue, glueLadders, type TaskOptions } from "../lib/eval/glue/glue.ts";
import { parsePredictions } from "../lib/eval/glue/predictions.ts";
import { comparisonText } from "../lib/eval/glue/report/compare.ts";
import { ladderJson, ladderText } from "../lib/eval/glue/report/ladder.ts";
import { toJson, toText } from "../lib/eval/glue/report/tasks.ts";
import { Progress } from "../lib/hub/progress.ts";
import { openDevice } from "../lib/run/device.ts";
import { deviceArgs, flagName, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { print, progressColumns, statusLine, toStderr } from "./cli/terminal.ts";

const args = {
  model: {
    type: "string",
    valueHint: "path",
    description:
      "Fine-tuned checkpoint: a folder, a packed model, or org/name of a downloaded one; {task} in it stands for the task's name",
  },
  data: {
    type: "string",
    valueHint: "folder",
    description:
      "Folder with GLUE's or SuperGLUE's own folders in it, or that of one task; default: the Hugging Face cache, else a download",
  },
  ...deviceArgs,
  threads: threadsArg,
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
  fixedLength: {
    type: "boolean",
    description: "Pad every input to the maximum, to show what dynamic length saves",
  },
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
  cosine: {
    type: "boolean",
    description: "Score the two texts of STS-B by the cosine of their vectors: for embedding models",
  },
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
} as const;

export default command({
  meta: {
    name: "glue",
    description: "Evaluate a fine-tuned checkpoint on GLUE and SuperGLUE, or compare two",
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
    "uffb glue sst2 --model checkpoints/sst2",
    "uffb glue all --model 'checkpoints/{task}' --data glue_data",
    "uffb glue mrpc --model a --predictions a.jsonl --errors 10",
    "uffb glue compare a.jsonl b.jsonl",
    "uffb glue mrpc --model a --ladder --int8 a-int8.uffb.safetensors",
    "uffb glue stsb --model all-MiniLM-L6-v2 --cosine",
    "uffb glue all --model 'checkpoints/{task}' --submission upload",
  ],

  async run({ args, positionals }) {
    if (positionals[0] === "compare") {
      only(["json"], args, "compare only reads predictions");
      return compareFiles(positionals.slice(1), args.json);
    }
    const tasks = findTasks(positionals);
    const { model, predictions, json } = args;
    const all = positionals.some((name) => name.toLowerCase() === "all");
    if (model === undefined)
      throw new UsageError("give --model a checkpoint that is fine-tuned for the task");
    if (all && !model.includes("{task}")) {
      throw new UsageError("every task of all needs its own checkpoint: --model 'folder/{task}'");
    }
    if (tasks.length > 1 && predictions !== undefined && !predictions.includes("{task}")) {
      throw new UsageError("several tasks need several files: --predictions 'folder/{task}.jsonl'");
    }
    if (args.instances !== undefined && args.threads !== undefined) {
      throw new UsageError("--instances have one thread each; leave --threads out");
    }
    if (args.instances !== undefined && args.device !== undefined && args.device !== "cpu") {
      throw new UsageError("--instances are engines on the CPU; with --device, leave --instances out");
    }
    if (args.cosine) checkCosine(tasks, args);
    if (args.int8 !== undefined && !args.ladder)
      throw new UsageError("--int8 is for --ladder; give an 8-bit model as --model");
    const { clear, ...show } = display();
    const options = { ...args, ...show, model, lenient: all, device: undefined };
    try {
      if (args.ladder) {
        only(
          ["ladder", "int8", "model", "data", "batchTokens", "json"],
          args,
          "--ladder times its own settings",
        );
        const reports = await glueLadders(tasks, options);
        clear();
        print(json ? ladderJson(reports) : ladderText(reports));
      } else {
        const device = openDevice(args.device, args.deviceDtype);
        const reports = await glue(tasks, { ...options, device });
        clear();
        print(json ? toJson(reports) : toText(reports));
      }
    } finally {
      clear();
    }
  },
});

/** @throws UsageError when a flag is given that is none of these, nor one that every command has */
function only(keys: readonly string[], args: Record<string, unknown>, why: string): void {
  const meant = [...keys, "verbose"];
  const other = Object.keys(args).find(
    (key) => !meant.includes(key) && args[key] !== undefined && args[key] !== false,
  );
  if (other !== undefined) throw new UsageError(`${why}; leave --${flagName(other)} out`);
}

/** @throws UsageError for tasks and flags that cosines have no meaning for */
function checkCosine(tasks: readonly Task[], args: Record<string, unknown>): void {
  const other = tasks.find((task) => !takesCosine(task));
  if (other) throw new UsageError(`${other.title} is no score of two texts, which --cosine is for`);
  const running = ["threads", "instances", "batchTokens", "device", "deviceDtype"];
  const flags = ["cosine", "model", "data", "json", "predictions", ...running];
  only(flags, args, "--cosine compares vectors");
}

/** Shows progress on a terminal; `clear` erases it. */
function display(): Pick<TaskOptions, "onWarning" | "onProgress" | "onDownload"> & { clear(): void } {
  const downloads = new Progress({ write: toStderr, columns: progressColumns() });
  const line = statusLine();
  const clear = () => {
    downloads.clear();
    line.clear();
  };
  return {
    clear,
    onDownload: downloads.show,
    onProgress: ({ title }, split, done, total) => {
      if (done === total) line.clear();
      else line.show(() => `${title} ${split}  ${bar(done / total, 30)}  ${done} of ${total}`);
    },
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
  print(json ? `${JSON.stringify({ a, b, ...comparison }, null, 2)}\n` : comparisonText(comparison, [a, b]));
}
