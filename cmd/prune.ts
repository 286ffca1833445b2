import { UsageError } from "../lib/base/errors.ts";
import { checkWritable } from "../lib/base/write.ts";
import { readLabelled } from "../lib/distil/data.ts";
import { openBuiltin } from "../lib/files/builtin.ts";
import { openCheckpoint } from "../lib/files/checkpoint.ts";
import type { Family } from "../lib/model/families/family.ts";
import { openModel } from "../lib/model/model.ts";
import { checkPrunable, type Pruned, prune } from "../lib/prune/prune.ts";
import { grouped, sizeArg, skipBadArg, textArg, textPairArg, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, downloadArg, MODEL_NAMES } from "./cli/model.ts";
import { Rate } from "./cli/rate.ts";
import { print, statusLine } from "./cli/terminal.ts";

const DEFAULTS = { examples: 4096, batch: 16, maxLength: 128, seed: 0 };

export default command({
  meta: {
    name: "prune",
    description: "Take the neurons and attention heads out of a classifier that matter least to its task",
  },
  positionals: [
    {
      name: "model",
      description: `Classifies texts or scores them. ${MODEL_NAMES}`,
      required: true,
    },
    {
      name: "data",
      description: "The texts with labels that it was trained on, as uffb finetune reads them",
      required: true,
    },
  ],
  args: {
    ...grouped("RESULT", {
      output: { type: "string", alias: "o", valueHint: "folder", description: "Folder to write" },
      width: sizeArg(
        "neurons",
        "Neurons of each feedforward layer that stay, where these are plain dense ones",
      ),
      heads: sizeArg(
        "heads",
        "Attention heads that stay, of all layers together; each layer keeps one at least",
      ),
      faster: {
        type: "number",
        min: 1,
        max: 1000,
        valueHint: "times",
        description:
          "The most neurons with which the encoder is so many times as fast, measured here in f32 on the longest texts; with --width, or where the layers are trees, the most heads",
      },
      json: { type: "boolean", description: "Write one JSON object" },
    }),
    ...grouped("DATA", {
      text: textArg,
      textPair: textPairArg,
      label: { type: "string", valueHint: "column", multiple: true, description: "Column of the label" },
      skipBad: skipBadArg,
      examples: {
        type: "number",
        integer: true,
        min: 1,
        max: 1e9,
        description: `Most examples to learn from what matters, drawn by the seed; default: ${DEFAULTS.examples}`,
      },
      batch: {
        type: "number",
        integer: true,
        min: 1,
        max: 4096,
        description: `Examples whose gradient is taken together; default: ${DEFAULTS.batch}`,
      },
      maxLength: {
        type: "number",
        integer: true,
        min: 3,
        max: 1 << 20,
        valueHint: "tokens",
        description: `Cut texts to so many tokens; default: ${DEFAULTS.maxLength}`,
      },
      seed: {
        type: "number",
        integer: true,
        min: 0,
        max: 2 ** 32 - 1,
        description: `Of the draw; default: ${DEFAULTS.seed}`,
      },
    }),
    ...grouped("MODEL", { download: downloadArg }),
    threads: threadsArg,
  },
  examples: [
    "uffb prune reviews-model reviews.csv --width 512 --heads 36 -o reviews-pruned",
    "uffb prune reviews-model reviews.csv --faster 1.5 -o reviews-pruned",
    "uffb distill reviews.csv --teacher reviews-model --student reviews-pruned -o reviews-small   # win back what it lost",
  ],
  sections: {
    "HOW IT CHOOSES": [
      "A neuron or head matters as much as the loss changes, to first order, when it goes: gradient times value, its size summed over batches. Layers keep as many neurons each; of heads, those that matter most to their layer stay, so that layers differ. The result computes what the whole model does with the outputs of the others at zero.",
      "Nodes of trees stay: a token takes the time of its own path, so that nodes which few tokens reach cost room in the file and no time. Give it training data, not what you test on.",
    ],
    "WHO LOADS IT": [
      "With all of its heads the result is an ordinary model with a smaller intermediate size. Heads that are gone are named by pruned_heads in config.json: transformers loads that up to version 4, and later versions know no such models. The original code of UltraFastBERT cannot lack heads.",
    ],
  },

  async run({ args, positionals: [name, data] }) {
    const { output, width, heads, faster, json, text, textPair, label, skipBad, threads } = args;
    if (output === undefined) throw new UsageError("--output is missing: give the folder to write");
    const wanted = { width, heads, faster };
    const given = Object.values(wanted).filter((value) => value !== undefined).length;
    if (given === 0)
      throw new UsageError(
        "give --width, the neurons of each feedforward layer that stay, --heads, or --faster",
      );
    if (given === 3)
      throw new UsageError("--width and --heads leave nothing to choose for --faster; leave one out");
    checkWritable(output);
    const path = await chooseModel(name, args.download);
    using model = await openModel(path);
    checkPrunable(model, wanted);
    const {
      examples = DEFAULTS.examples,
      batch = DEFAULTS.batch,
      maxLength = DEFAULTS.maxLength,
      seed = DEFAULTS.seed,
    } = args;
    const read = await readLabelled(data!, model, { text, textPair, label, skipBad, split: 0, seed });
    for (const note of read.notes) messages.info(note);
    for (const warning of read.warnings) messages.warn(warning);
    let seen = { done: 0, total: 1 };
    const rate = new Rate(statusLine(), () => seen.done / seen.total);
    const checkpoint = path === undefined ? openBuiltin() : openCheckpoint(path);
    const found = await prune(model, checkpoint, read.train, output, {
      ...wanted,
      examples,
      batch,
      maxLength,
      seed,
      threads,
      onProgress: (done, total) => {
        const count = done - seen.done;
        seen = { done, total };
        rate.add(count);
      },
    }).finally(() => rate.clear());
    print(`${json ? JSON.stringify({ output, ...found }) : textOf(found)}\n`);
    messages.info(`${output} is there; uffb infer --model ${output} runs it`);
    if (found.heads.after < found.heads.before) messages.info(othersLoad(model.config.family));
  },
});

/** Whose code can hold layers that lack heads. */
function othersLoad({ modelType, encoder }: Family): string {
  return encoder === undefined
    ? `its heads that are gone are named by pruned_heads in config.json, which the original code of ${modelType} does not know`
    : "transformers up to version 4 loads it, by pruned_heads in config.json; later versions know no such models";
}

function textOf({ width, heads, faster, weights, loss, examples }: Pruned): string {
  const changed = (title: string, { before, after }: { before: number; after: number }) =>
    before === after ? [] : [`${title.padEnd(17)}${before} -> ${after}`];
  const millions = (count: number) => `${(count / 1e6).toFixed(2)} million`;
  return [
    ...(faster === undefined ? [] : [`speed            ${faster.toFixed(2)} times that of the whole`]),
    ...changed("neurons a layer", width),
    ...changed("heads in all", heads),
    `weights          ${millions(weights.before)} -> ${millions(weights.after)}`,
    `loss             ${loss.before.toFixed(4)} -> ${loss.after.toFixed(4)} over ${examples} examples`,
  ].join("\n");
}
