import { UsageError } from "../lib/base/errors.ts";
import { type Model, openModel } from "../lib/model/model.ts";
import {
  ARRAY_DTYPES,
  ARRAY_FORMATS,
  ARRAY_LIMITS,
  type ArrayFormat,
  ArraySink,
  isArrayFormat,
} from "../lib/run/arrays.ts";
import { openDevice } from "../lib/run/device.ts";
import { type InferOptions, infer, POOLINGS, taskOf } from "../lib/run/infer.ts";
import { exporter } from "../lib/run/output.ts";
import { longest } from "../lib/run/prepare.ts";
import { embedQueries, readQueries, SimilarSink } from "../lib/run/similar.ts";
import { type Sink, textSink } from "../lib/run/sink.ts";
import { readItems } from "../lib/text/input/input.ts";
import { deviceArgs, grouped, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { inputArgs, inputPositionals, reportBadItem } from "./cli/input.ts";
import { interruptSignal } from "./cli/interrupt.ts";
import { messages } from "./cli/messages.ts";
import { Rate } from "./cli/rate.ts";
import { hasColor, isTerminal, print, statusLine } from "./cli/terminal.ts";

/** Candidates of a mask, or lines nearest to a query. */
const TOP = 5;

export default command({
  meta: {
    name: "infer",
    description: "Fill [MASK], classify, score or embed text",
  },
  positionals: inputPositionals,
  args: {
    ...grouped("MODEL", {
      model: {
        type: "string",
        valueHint: "path",
        description:
          "Folder with config.json and a checkpoint, a packed model, or org/name of a downloaded one; default: the built-in model",
      },
    }),
    ...inputArgs,
    ...grouped("INPUT", {
      maskId: {
        type: "number",
        valueHint: "id",
        integer: true,
        min: 0,
        max: 2 ** 31 - 1,
        description: "Token id of the mask, for --ids and a model without tokenizer",
      },
      truncate: {
        type: "boolean",
        default: true,
        description: "Cut inputs that are longer than the model takes",
        negativeDescription: "Treat inputs that are longer than the model takes as errors",
      },
    }),
    ...grouped("OUTPUT", {
      json: { type: "boolean", description: "Write one JSON array" },
      topK: {
        type: "number",
        valueHint: "count",
        integer: true,
        min: 1,
        max: 1_000_000,
        description: `Candidates for each mask, or lines for each query; default: ${TOP}`,
      },
    }),
    ...grouped("VECTORS", {
      embed: { type: "boolean", description: "Give sentence vectors, with any model" },
      pooling: {
        type: "enum",
        options: POOLINGS,
        description:
          "How --embed pools a text's token vectors; default: as the model's settings say, or mean",
      },
      format: {
        type: "enum",
        options: ["jsonl", "csv", ...ARRAY_FORMATS],
        description: `What --embed writes: lines (jsonl, csv) or one array with a row for each input (${ARRAY_FORMATS.join(", ")}); --similar can write jsonl, too`,
      },
      dtype: {
        type: "enum",
        options: ARRAY_DTYPES,
        description: "Dtype of the array; default: f32",
      },
      similar: {
        type: "string",
        valueHint: "query",
        description: "Embed, and print the lines nearest to this text, or to each line of this file",
      },
    }),
    ...deviceArgs,
    threads: threadsArg,
    ...grouped("RUNNING", {
      batchTokens: {
        type: "number",
        valueHint: "tokens",
        integer: true,
        min: 1,
        max: 1_000_000,
        description:
          "Most tokens in a batch. It changes speed and memory; results only on a device, in the last digits",
      },
    }),
  },
  examples: [
    'uffb infer "The film was [MASK] by Steven Spielberg."',
    "uffb infer --model models/sst2 < reviews.txt | cut -f1,2",
    'uffb infer --model models/mrpc "A man plays." --pair "A man is playing."',
    "uffb infer --embed --jsonl < texts.jsonl > vectors.jsonl",
    "uffb infer --embed --format npy < lines.txt > vectors.npy",
    "uffb infer --device cuda --device-dtype bf16 --embed < texts.txt > vectors.tsv",
    "uffb infer --model all-MiniLM-L6-v2 --similar 'how to save money' < lines.txt",
  ],
  sections: {
    "COLUMNS, when piped": [
      ["masks", "id or else line, mask, rank, token, probability, filled text (of a pair: two)"],
      [
        "classification",
        "id or else line, label (or labels with ; between), its probability, that of each label in the model's order",
      ],
      ["regression", "id or else line, score"],
      ["--embed", "id or else line, the vector's numbers"],
      ["--similar", "query, rank, cosine, id or else line, text"],
    ],
    "FIELDS of --json and --jsonl": [
      ["all", "line, id, text, text_pair, tokens, truncated (tokens cut off, if any)"],
      ["masks", "masks: [{position, top: [{token, id, p}]}], filled, filled_pair"],
      [
        "classification",
        "label, p, scores: [{label, p, logit}] in the model's order; labels, where several can be true",
      ],
      ["regression", "score"],
      ["--embed", "vector"],
      ["--similar", "for each query instead: query, closest: [{line, id, cosine, text, text_pair}]"],
    ],
  },
  exitCodes: { 1: "failure, or an input could not be used" },

  async run({ args, positionals: texts }) {
    const { model: path, topK, pooling, maskId, truncate, threads, batchTokens, similar } = args;
    if (args.json && args.jsonl) throw new UsageError("--json and --jsonl exclude each other; drop one");
    const embed = args.embed || similar !== undefined;
    const device = openDevice(args.device, args.deviceDtype);
    using model = await openModel(path);
    for (const warning of model.warnings) messages.warn(warning);
    checkFlags(args, taskOf(model, embed));
    const options: InferOptions = {
      embed,
      truncate,
      signal: interruptSignal(),
      ...(pooling !== undefined && { pooling }),
      ...(threads !== undefined && { threads }),
      ...(batchTokens !== undefined && { batchTokens }),
      ...(device && { device }),
    };
    using owned = new DisposableStack();
    const sink = await openSink(args, model, options, owned);
    const embeds = taskOf(model, embed) === "embed";
    // Where results are shown on the terminal, they show the progress.
    const shows = embeds && !(isTerminal(1) && similar === undefined);
    const rate = new Rate(shows ? statusLine() : undefined);
    owned.defer(() => rate.clear());
    let bad = 0;
    let cut = 0;
    const results = infer(model, readItems({ texts, ...args }), {
      ...options,
      topK: topK ?? TOP,
      ...(maskId !== undefined && { maskId }),
      ...(args.dtype !== undefined && { limit: ARRAY_LIMITS[args.dtype] }),
    });
    for await (const batch of results) {
      let output = "";
      const before = bad;
      for (const result of batch) {
        if ("error" in result) {
          bad++;
          rate.clear();
          reportBadItem(result, texts);
        } else if (result.dropped > 0) cut++;
        output += sink.add(result);
      }
      print(output);
      rate.add(batch.length - (bad - before));
    }
    if (embeds) rate.finish();
    for (const piece of sink.finish()) print(piece);
    if (cut > 0) {
      const most = longest(model, embeds ? model.sentence() : undefined);
      messages.warn(`${cut} ${cut === 1 ? "input was" : "inputs were"} cut to the model's ${most} tokens`);
    }
    return bad > 0 ? 1 : 0;
  },
});

interface Flags {
  json: boolean;
  jsonl: boolean;
  topK: number | undefined;
  pooling: string | undefined;
  format: "jsonl" | "csv" | ArrayFormat | undefined;
  dtype: "f32" | "f16" | undefined;
  similar: string | undefined;
}

/** @throws UsageError for a flag that has no meaning for the task, or beside another one */
function checkFlags(flags: Flags, task: ReturnType<typeof taskOf>): void {
  const { format, dtype, similar } = flags;
  for (const flag of ["pooling", "format"] as const) {
    if (flags[flag] !== undefined && task !== "embed")
      throw new UsageError(`--${flag} is for --embed; add that, or drop it`);
  }
  if (flags.topK !== undefined && task !== "fill-mask" && similar === undefined)
    throw new UsageError("--top-k is for masks, which are not filled here, and for --similar; drop it");
  if (format !== undefined && format !== "jsonl" && similar !== undefined)
    throw new UsageError(`--format ${format} is for vectors, which --similar does not print; use jsonl`);
  if (format !== undefined && flags.json)
    throw new UsageError("--format and --json exclude each other; drop one");
  const isArray = isArrayFormat(format);
  if (dtype !== undefined && !isArray)
    throw new UsageError(
      `--dtype is for --format ${ARRAY_FORMATS.join(" and ")}; add one of them, or drop it`,
    );
  if (isArray && isTerminal(1))
    throw new UsageError(`--format ${format} is not for terminals; write it to a file: > vectors.${format}`);
}

async function openSink(
  flags: Flags,
  model: Model,
  options: InferOptions,
  owned: DisposableStack,
): Promise<Sink> {
  const { format: asked, dtype = "f32", similar, topK = TOP } = flags;
  if (isArrayFormat(asked)) return owned.use(new ArraySink(asked, dtype, model.config.arch.hidden));
  const isJsonl = flags.jsonl || asked === "jsonl";
  const format = flags.json ? "json" : isJsonl ? "jsonl" : isTerminal(1) ? "human" : "tsv";
  if (similar === undefined) return textSink(exporter(asked ?? format, { colour: hasColor(1) }));
  return new SimilarSink(await embedQueries(model, await readQueries(similar), options), topK, format);
}
