import { UsageError } from "../lib/base/errors.ts";
import { interruptSignal } from "../lib/base/signals.ts";
import { writeWhole } from "../lib/base/write.ts";
import { measurePaths, type PathUsage } from "../lib/eval/inspect/paths.ts";
import {
  inspectJson,
  pathsText,
  SPARE_TENSORS,
  summaryText,
  tensorsText,
} from "../lib/eval/inspect/report.ts";
import { summarize } from "../lib/eval/inspect/summary.ts";
import { pathsSvg } from "../lib/eval/inspect/svg.ts";
import { openModel } from "../lib/model/model.ts";
import { itemsOf, openInput } from "../lib/text/input/input.ts";
import { grouped, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { BadInputs } from "./cli/input.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, downloadArg, MODEL_ARGUMENT } from "./cli/model.ts";
import { Rate } from "./cli/rate.ts";
import { outputColumns, print, statusLine } from "./cli/terminal.ts";

export default command({
  meta: {
    name: "inspect",
    description: "Show what a model is made of, and how texts fall through its trees",
  },
  positionals: [
    {
      name: "model",
      description: MODEL_ARGUMENT,
    },
  ],
  args: {
    ...grouped("OUTPUT", {
      tensors: { type: "boolean", description: "List every tensor with its role, dtype, shape and bytes" },
      json: { type: "boolean", description: "Write one JSON object" },
      svg: {
        type: "string",
        valueHint: "path",
        description:
          "Draw the trees, what tokens do in them, and the leaves they reach; fewer than a dozen tokens have a colour each",
      },
    }),
    ...grouped("TEXTS", {
      text: {
        type: "string",
        multiple: true,
        valueHint: "text",
        description:
          'Show how this text falls through the trees, layer by layer; "-": one text a line from stdin',
      },
      ids: { type: "boolean", description: "Each text is token ids, separated by spaces or commas" },
    }),
    ...grouped("MODEL", { download: downloadArg }),
    threads: threadsArg,
  },
  examples: [
    'uffb inspect --text "The film was [MASK]." --svg trees.svg',
    "uffb inspect models/UltraFastBERT-1x11-long --tensors",
    "uffb inspect --text - --svg trees.svg < sentences.txt",
  ],
  sections: {
    "NARROW TERMINALS": [
      `Columns of --tensors that do not fit are left out: ${SPARE_TENSORS.join(", ")}; the first first.`,
    ],
  },
  exitCodes: { 1: "failure, or a text could not be used" },

  async run({ args, positionals: [given] }) {
    const texts = args.text ?? [];
    if (texts.length === 0 && args.svg !== undefined) {
      throw new UsageError(
        '--svg draws what texts do; give one with --text, or lines on stdin with --text "-"',
      );
    }
    if (texts.length === 0 && (args.ids || args.threads !== undefined)) {
      throw new UsageError("--ids and --threads are for --text; add that, or drop them");
    }
    const path = await chooseModel(given, args.download);
    const summary = await summarize(path);
    let bad: BadInputs | undefined;
    let paths: PathUsage | undefined;
    if (texts.length > 0) {
      using model = await openModel(path);
      for (const warning of model.warnings) messages.warn(warning);
      const input = await openInput({ texts, ids: args.ids });
      const report = new BadInputs(input.place, false);
      bad = report;
      const rate = new Rate(texts[0] === "-" ? statusLine() : undefined, input.share);
      paths = await measurePaths(model, itemsOf(input), {
        signal: interruptSignal(),
        onBad: (item) => {
          rate.clear();
          report.add(item);
        },
        onTexts: (count) => rate.add(count),
        ...(args.threads !== undefined && { threads: args.threads }),
      }).finally(() => rate.clear());
      if (paths.cut > 0) messages.warn(`${paths.cut} of the texts were cut to ${summary.maxLength} tokens`);
    }
    if (args.svg !== undefined && paths) {
      await writeWhole(args.svg, pathsSvg(paths, summary.source));
    }
    if (args.json) print(inspectJson(summary, paths, args.tensors));
    else {
      const columns = outputColumns();
      print(summaryText(summary, columns));
      if (args.tensors) print(`\n${tensorsText(summary, columns)}`);
      if (paths) print(`\n${pathsText(paths, columns)}`);
    }
    bad?.finish();
    return bad?.exitCode;
  },
});
