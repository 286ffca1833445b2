import type { Pooling } from "../ffi/context.ts";
import { UsageError } from "../lib/base/errors.ts";
import { interruptSignal } from "../lib/base/signals.ts";
import { type Model, openModel } from "../lib/model/model.ts";
import { SIMILARITIES, type Similarity } from "../lib/model/sentence/prompts.ts";
import { ARRAY_DTYPES, ARRAY_FORMATS, ARRAY_LIMITS, ArraySink, isArrayFormat } from "../lib/run/arrays.ts";
import { openDevice } from "../lib/run/device.ts";
import { AGGREGATIONS } from "../lib/run/entities.ts";
import { type InferOptions, infer, POOLINGS, type Task, taskOf, textsOf } from "../lib/run/infer.ts";
import { columnsOf, exporter } from "../lib/run/output.ts";
import { longest } from "../lib/run/prepare.ts";
import { promptFor, type Side } from "../lib/run/prompt.ts";
import { embedQueries, isQueryFile, type MatchFormat, readQueries, SimilarSink } from "../lib/run/similar.ts";
import { type Sink, textSink } from "../lib/run/sink.ts";
import { vectorMaker } from "../lib/run/vectors.ts";
import { type Input, itemsOf, openInput, type Tabs } from "../lib/text/input/input.ts";
import { deviceArgs, flagName, grouped, threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { BadInputs, inputArgs, inputPositionals, questionFileName } from "./cli/input.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, MODEL_NAMES, modelArgs } from "./cli/model.ts";
import { formatOf, outputArgs, TEXT_FORMATS } from "./cli/output.ts";
import { Rate } from "./cli/rate.ts";
import { hasColor, isTerminal, print, statusLine } from "./cli/terminal.ts";

const FORMATS = [...TEXT_FORMATS, ...ARRAY_FORMATS] as const;
type AnyFormat = (typeof FORMATS)[number];

/** Candidates of a mask, or lines nearest to a query. */
const TOP = 5;

/** Said of vectors that no settings of the model's describe. */
const PLAIN_MEAN =
  "the model does not say how to make vectors: they are the means of its tokens' final states; --pooling chooses otherwise";

export default command({
  meta: {
    name: "infer",
    description: "Fill [MASK], classify, score or embed text",
  },
  positionals: inputPositionals,
  args: {
    ...modelArgs,
    model: {
      ...modelArgs.model,
      description: `${MODEL_NAMES}. Default: UFFB_MODEL, or else a built-in model: one for masks, or for --embed and --similar one for sentences`,
    },
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
      format: {
        type: "enum",
        options: FORMATS,
        description: `text is for people, tsv for pipelines; vectors can be one array with a row for each input, too (${ARRAY_FORMATS.join(", ")}). Default: text on a terminal, else tsv`,
      },
      ...outputArgs,
      topK: {
        type: "number",
        valueHint: "count",
        integer: true,
        min: 1,
        max: 1_000_000,
        description: `Candidates for each mask, or lines for each query; default: ${TOP}`,
      },
    }),
    ...grouped("LABELS", {
      threshold: {
        type: "number",
        valueHint: "p",
        min: 0,
        max: 1,
        description: "Least probability of a label, where several can be true; default: 0.5",
      },
      aggregate: {
        type: "enum",
        options: AGGREGATIONS,
        description:
          "How labels of tokens become entities: none (each token by itself), simple (neighbours together), or after all tokens of a word got one label: its first's, that of the average, or that of its surest (max); default: simple",
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
      similarity: {
        type: "enum",
        options: SIMILARITIES,
        description:
          "How --similar compares vectors; euclidean and manhattan are distances below zero; default: as the model's settings say, or cosine",
      },
      prompt: {
        type: "string",
        valueHint: "name|text",
        description:
          "What stands before each text: one of the model's own prompts by its name, or a text such as 'passage: '; default: the model's choice, which for --similar is its prompt for documents",
      },
      queryPrompt: {
        type: "string",
        valueHint: "name|text",
        description: "The same before each query of --similar; default: the model's prompt for queries",
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
    "uffb infer --model sst2 --download --input reviews.csv --format csv --keep > labelled.csv",
    "uffb infer --model models/mine < reviews.txt | cut -f1,2",
    'uffb infer --model mrpc --download "A man plays." --pair "A man is playing."',
    "uffb infer --embed --jsonl < texts.jsonl > vectors.jsonl",
    "uffb infer --embed --format npy < lines.txt > vectors.npy",
    "uffb infer --device cuda --device-dtype bf16 --embed < texts.txt > vectors.tsv",
    "uffb infer --similar 'how to save money' < lines.txt",
    "uffb infer --model all-MiniLM-L6-v2 --download --embed < lines.txt > vectors.tsv",
  ],
  sections: {
    "WHAT IS READ": [
      'A table\'s first line names its columns. The text is the column of that --text-column, or one with an obvious name (text, sentence, review, question and passage …). JSON lines are objects; their keys are the columns, and "ids" may hold token ids in place of a text.',
      "Stdin is taken for plain lines, or for JSON lines or Parquet where it begins like that. What reads like a header of CSV or TSV is an error until --input-format says what it is.",
      'Every input has its row in the output, in order. One that cannot be used (blank, not UTF-8, without text) is named on stderr and has empty cells, in JSON "error", and in an array NaNs; the exit code is then 1. --jsonl leaves it out; so does --skip-bad, and the exit code is 0.',
      "--keep writes the input's columns behind the results; one with the name of a result comes out as input_NAME.",
    ],
    "COLUMNS of tsv and csv": [
      ["masks", "id, mask, rank, token, p, filled (of a pair also filled_pair)"],
      [
        "classification",
        "id, label (or labels with ; between), its probability p, and p_LABEL of each label in the model's order",
      ],
      ["regression", "id, score"],
      ["entities", "id, start, end, label, p, word, a row for each; empty where there are none"],
      ["--embed", "id, the vector's numbers"],
      ["--similar", "query, rank, similarity, id, text"],
      ["id", "the input's own, or else its line (of a Parquet file, its row)"],
    ],
    "FIELDS of json and jsonl": [
      ["all", "line, id, text, text_pair, tokens, truncated (tokens cut off, if any)"],
      ["masks", "masks: [{position, top: [{token, id, p}]}], filled, filled_pair"],
      [
        "classification",
        "label, p, scores: [{label, p, logit}] in the model's order; labels, where several can be true",
      ],
      ["regression", "score, and logit where that is another number"],
      ["entities", "entities: [{label, p, start, end, word}], positions in Unicode characters"],
      ["--embed", "vector"],
      [
        "--similar",
        "for each query instead: query, closest: [{line, id, cosine (or dot and so on), text, text_pair}]",
      ],
    ],
  },
  exitCodes: { 1: "failure, or an input could not be used" },

  async run({ args, positionals: texts }) {
    const { topK, pooling, maskId, truncate, threads, batchTokens, similar, force } = args;
    const format = formatOf(args);
    for (const text of texts) questionFileName(text, `to read it, say --input ${text}`, args);
    if (similar !== undefined && !isQueryFile(similar))
      questionFileName(similar, "--similar takes a text or a file of texts", args);
    const embed = args.embed || similar !== undefined;
    const device = openDevice(args.device, args.deviceDtype);
    using model = await openModel(
      await chooseModel(args.model, args.download),
      embed ? "sentence" : "masked",
    );
    for (const warning of model.warnings) messages.warn(warning);
    const task = taskOf(model, embed);
    checkFlags(args, format, task);
    if (args.threshold !== undefined && model.config.task !== "multi-label")
      throw new UsageError("--threshold is for models whose texts can have several labels; drop it");
    const count = textsOf(model, embed);
    if (task === "embed" && pooling === undefined && model.sentence() === undefined)
      messages.info(PLAIN_MEAN);
    const asked = (value: string | undefined, side: Side) =>
      promptFor(model, { embeds: task === "embed", asked: value, ...(similar !== undefined && { side }) });
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
    const similarity = args.similarity ?? model.sentence()?.similarity ?? "cosine";
    const queries =
      similar === undefined
        ? undefined
        : await embedQueries(
            model,
            await readQueries(similar),
            { ...options, prompt: asked(args.queryPrompt, "query") },
            similarity,
          );
    const input = await openInput({ ...args, texts, count, tabs: args.tabs ?? tabsFor(task, count) });
    if (input.note !== undefined) messages.info(input.note);
    const kept = args.keep ? input.kept : undefined;
    const sink = queries
      ? new SimilarSink(queries, topK ?? TOP, format as MatchFormat, args.header, similarity)
      : openSink(format, { model, task, pooling, dtype: args.dtype, header: args.header, kept }, owned);
    const embeds = task === "embed";
    // Where results are shown on the terminal, they show the progress.
    const shows = !(isTerminal(1) && similar === undefined);
    const rate = new Rate(shows ? statusLine() : undefined, input.share);
    owned.defer(() => rate.clear());
    const bad = new BadInputs(input.place, args.skipBad);
    let cut = 0;
    const results = infer(model, itemsOf(input), {
      ...options,
      prompt: asked(args.prompt, "document"),
      topK: topK ?? TOP,
      ...(!force && { texts: count }),
      ...(args.threshold !== undefined && { threshold: args.threshold }),
      ...(args.aggregate !== undefined && { aggregate: args.aggregate }),
      ...(maskId !== undefined && { maskId }),
      ...(args.dtype !== undefined && { limit: ARRAY_LIMITS[args.dtype] }),
    });
    for await (const batch of results) {
      let output = "";
      let good = 0;
      for (const result of batch) {
        if ("error" in result) {
          rate.clear();
          bad.add(result);
          if (args.skipBad || args.jsonl) continue;
        } else {
          good++;
          bad.good();
          if (result.dropped > 0) cut++;
        }
        output += sink.add(result);
      }
      print(output);
      rate.add(good);
    }
    if (embeds) rate.finish();
    else rate.clear();
    for (const piece of sink.finish()) print(piece);
    bad.finish();
    if (cut > 0) {
      const most = longest(model, embeds ? model.sentence() : undefined);
      messages.warn(`${cut} ${cut === 1 ? "input was" : "inputs were"} cut to the model's ${most} tokens`);
    }
    return bad.exitCode;
  },
});

/** What a tab is where nobody has said it: a classifier that does not tell how many texts it takes may compare two. */
function tabsFor(task: Task, count: 1 | 2 | undefined): Tabs {
  if (count !== undefined) return count === 2 ? "pairs" : "text";
  return task === "classify" || task === "regress" ? "unknown" : "text";
}

interface Flags {
  topK: number | undefined;
  pooling: string | undefined;
  dtype: "f32" | "f16" | undefined;
  similar: string | undefined;
  aggregate: string | undefined;
  similarity: Similarity | undefined;
  prompt: string | undefined;
  queryPrompt: string | undefined;
  keep: boolean;
}

/** @throws UsageError for a flag that has no meaning for the task, or beside another one */
function checkFlags(flags: Flags, format: AnyFormat, task: Task): void {
  const { dtype, similar } = flags;
  const isArray = isArrayFormat(format);
  if (flags.pooling !== undefined && task !== "embed")
    throw new UsageError("--pooling is for --embed; add that, or drop it");
  if (isArray && task !== "embed")
    throw new UsageError(`--format ${format} is for --embed; add that, or choose another`);
  for (const flag of ["similarity", "queryPrompt"] as const) {
    if (flags[flag] !== undefined && similar === undefined)
      throw new UsageError(`--${flagName(flag)} is for --similar; add that, or drop it`);
  }
  if (flags.aggregate !== undefined && task !== "tag")
    throw new UsageError("--aggregate is for models that give each token a label; drop it");
  if (flags.prompt !== undefined && !["embed", "classify", "regress"].includes(task))
    throw new UsageError("--prompt is for vectors and classifiers; add --embed, or drop it");
  if (flags.topK !== undefined && task !== "fill-mask" && similar === undefined)
    throw new UsageError("--top-k is for masks, which are not filled here, and for --similar; drop it");
  if (isArray && similar !== undefined)
    throw new UsageError(`--format ${format} is for vectors, which --similar does not print; use jsonl`);
  if (flags.keep && (isArray || similar !== undefined || format === "text"))
    throw new UsageError("--keep is for tsv, csv, jsonl and json; choose one with --format, or drop it");
  if (dtype !== undefined && !isArray)
    throw new UsageError(
      `--dtype is for --format ${ARRAY_FORMATS.join(" and ")}; add one of them, or drop it`,
    );
  if (isArray && isTerminal(1))
    throw new UsageError(`--format ${format} is not for terminals; write it to a file: > vectors.${format}`);
}

interface SinkOptions {
  model: Model;
  task: Task;
  pooling: Pooling | undefined;
  dtype: "f32" | "f16" | undefined;
  header: boolean;
  kept: Input["kept"] | undefined;
}

function openSink(format: AnyFormat, options: SinkOptions, owned: DisposableStack): Sink {
  const { model, task, pooling, dtype = "f32", header, kept } = options;
  const width = task === "embed" ? vectorMaker(model, pooling).width : 0;
  if (isArrayFormat(format)) return owned.use(new ArraySink(format, dtype, width));
  const named = header || format === "csv" || kept !== undefined;
  const columns = columnsOf(task, { labels: model.config.labels, width }, named);
  return textSink(
    exporter(format === "text" ? "human" : format, { colour: hasColor(1), columns, header, kept }),
  );
}
