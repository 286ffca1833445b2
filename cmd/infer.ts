import { UsageError } from "../lib/errors.ts";
import { infer, POOLINGS, taskOf } from "../lib/infer.ts";
import { readItems } from "../lib/input.ts";
import { openModel } from "../lib/model.ts";
import { exporter, type Format } from "../lib/output.ts";
import { command } from "./cli/command.ts";
import { inputArgs, inputPositionals, reportBadItem } from "./cli/input.ts";
import { interruptSignal } from "./cli/interrupt.ts";
import { messages } from "./cli/messages.ts";
import { hasColor, isTerminal, print } from "./cli/terminal.ts";

export default command({
  meta: {
    name: "infer",
    description: "Fill [MASK], classify, score or embed text",
  },
  positionals: inputPositionals,
  args: {
    model: {
      type: "string",
      valueHint: "path",
      description: "Folder with config.json and a checkpoint, or a packed model; default: the built-in model",
    },
    ...inputArgs,
    json: { type: "boolean", description: "Write one JSON array" },
    topK: {
      type: "number",
      valueHint: "count",
      integer: true,
      min: 1,
      max: 1_000_000,
      description: "Candidates for each mask; default: 5",
    },
    embed: { type: "boolean", description: "Give sentence vectors, whatever the model was trained for" },
    pooling: {
      type: "enum",
      options: POOLINGS,
      description: "How --embed makes one vector of a text's tokens; default: mean",
    },
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
    threads: {
      type: "number",
      integer: true,
      min: 0,
      max: 1024,
      description: "CPU threads; default: all that may be used",
    },
    batchTokens: {
      type: "number",
      valueHint: "tokens",
      integer: true,
      min: 1,
      max: 1_000_000,
      description: "Most tokens in a batch; changes speed and memory, never a result",
    },
  },
  examples: [
    'uffb infer "The film was [MASK] by Steven Spielberg."',
    "uffb infer --model models/sst2 < reviews.txt | cut -f1,2",
    'uffb infer --model models/mrpc "A man plays." --pair "A man is playing."',
    "uffb infer --embed --jsonl < texts.jsonl > vectors.jsonl",
  ],
  sections: {
    "COLUMNS, when piped": [
      "masks           id or else line, mask, rank, token, probability, filled text (of a pair: two)",
      "classification  id or else line, label, its probability, the probability of each label in the model's order",
      "regression      id or else line, score",
      "--embed         id or else line, the vector's numbers",
    ],
    "FIELDS of --json and --jsonl": [
      "all             line, id, text, text_pair, tokens, truncated (tokens cut off, if any)",
      "masks           masks: [{position, top: [{token, id, p}]}], filled, filled_pair",
      "classification  label, p, scores: [{label, p, logit}] in the model's order",
      "regression      score",
      "--embed         vector",
    ],
  },
  exitCodes: { 1: "failure, or an input could not be used" },

  async run({ args, positionals: texts }) {
    const { model: path, embed, topK, pooling, maskId, truncate, threads, batchTokens } = args;
    if (args.json && args.jsonl) throw new UsageError("--json and --jsonl exclude each other; drop one");
    if (pooling !== undefined && !embed)
      throw new UsageError("--pooling is for --embed; add that, or drop it");
    using model = await openModel(path);
    for (const warning of model.warnings) messages.warn(warning);
    if (topK !== undefined && taskOf(model, embed) !== "fill-mask") {
      throw new UsageError("--top-k is for masks, which are not filled here; drop it");
    }
    const format: Format = args.json ? "json" : args.jsonl ? "jsonl" : isTerminal(1) ? "human" : "tsv";
    const { head, record, tail } = exporter(format, { colour: hasColor(1) });
    let bad = 0;
    let cut = 0;
    let output = head; // written with the first results: wrong usage writes nothing
    const results = infer(model, readItems({ texts, ...args }), {
      embed,
      truncate,
      signal: interruptSignal(),
      ...(topK !== undefined && { topK }),
      ...(pooling !== undefined && { pooling }),
      ...(maskId !== undefined && { maskId }),
      ...(threads !== undefined && { threads }),
      ...(batchTokens !== undefined && { batchTokens }),
    });
    for await (const batch of results) {
      for (const result of batch) {
        if ("error" in result) {
          bad++;
          reportBadItem(result, texts);
          continue;
        }
        if (result.dropped > 0) cut++;
        output += record(result);
      }
      print(output);
      output = "";
    }
    print(output + tail);
    if (cut > 0) {
      const { maxLength } = model.config.arch;
      messages.warn(
        `${cut} ${cut === 1 ? "input was" : "inputs were"} cut to the model's ${maxLength} tokens`,
      );
    }
    return bad > 0 ? 1 : 0;
  },
});
