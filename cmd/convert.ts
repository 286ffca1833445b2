import { existsSync, realpathSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { UffbError, UsageError } from "../lib/base/errors.ts";
import { formatBytes } from "../lib/base/numbers.ts";
import { quoted } from "../lib/base/printable.ts";
import { type ConvertOptions, convertModel, convertTensors } from "../lib/convert/convert.ts";
import { costOf } from "../lib/convert/cost.ts";
import { costLines, roleLines, speedLine } from "../lib/convert/report.ts";
import { verificationText } from "../lib/eval/verify/report.ts";
import { TOLERANCE, verify } from "../lib/eval/verify/verify.ts";
import { type Checkpoint, openCheckpoint } from "../lib/files/checkpoint.ts";
import type { OnBytes } from "../lib/files/safetensors/write.ts";
import { openModel } from "../lib/model/model.ts";
import { flagName } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { chooseModel, downloadArg } from "./cli/model.ts";
import { print, workLine } from "./cli/terminal.ts";

const DTYPES = { f32: "F32", f16: "F16", bf16: "BF16", int8: "I8" } as const;
const SUFFIXES = { packed: ".uffb.safetensors", hf: "-hf", safetensors: ".safetensors" } as const;

export default command({
  meta: {
    name: "convert",
    description: "Pack a model into one file that opens in milliseconds, or unpack it",
  },
  positionals: [
    {
      name: "model",
      description:
        "Folder with config.json and the checkpoint (safetensors or pytorch_model.bin), a checkpoint's file beside its config.json, a packed file, or the name of a model on the hub",
      required: true,
    },
  ],
  args: {
    output: {
      type: "string",
      alias: "o",
      valueHint: "path",
      description: "File or folder to write; default: the model's name in the current folder",
    },
    to: {
      type: "enum",
      options: ["packed", "hf", "safetensors"],
      default: "packed",
      description:
        "packed: for uffb; hf: a folder that the model's own code loads; safetensors: the tensors of any architecture's file unchanged, for instance to get them out of a pickle",
    },
    dtype: {
      type: "enum",
      options: ["f32", "f16", "bf16", "int8"],
      description:
        "How matrices are stored; default: f32, which is exact and opens fastest. int8 also runs faster: whole models 1.5 to 2 times as fast on a CPU with AVX2 alone, 2.5 to 3 times with VNNI. It stores trees in bf16, and in 16 bits what loses most in 8: small heads and, in pre-norm models, the first two layers' attention and the embeddings. A decoder's rows are also kept in f16, to rank the best tokens exactly",
    },
    download: downloadArg,
    ignoreUnknown: {
      type: "boolean",
      description: "Leave out tensors that the model does not have, instead of stopping with an error",
    },
    verify: {
      type: "string",
      valueHint: "expected",
      description:
        "Write nothing unless the result reproduces this file of expected tensors; see uffb verify",
    },
    tolerance: {
      type: "number",
      min: 0,
      description: `Largest error that --verify allows, relative to its tensor; default: ${TOLERANCE}`,
    },
  },
  examples: [
    "uffb convert models/UltraFastBERT-1x11-long",
    "uffb convert sst2 --dtype int8 -o sst2.uffb.safetensors && uffb infer --model sst2.uffb.safetensors 'A fine film.'",
    "uffb convert pytorch_model.bin --to safetensors -o model.safetensors",
  ],

  async run({ args, positionals }) {
    const source = positionals[0]!;
    const { to, verify: expected, tolerance, ignoreUnknown } = args;
    const dtype = args.dtype ?? "f32";
    if (to === "safetensors") {
      for (const flag of ["dtype", "ignoreUnknown", "verify"] as const) {
        if (args[flag])
          throw new UsageError(`--to safetensors keeps every tensor as it is; drop --${flagName(flag)}`);
      }
    }
    if (to === "hf" && dtype === "int8")
      throw new UsageError("--dtype int8 is for packed files; choose another");
    if (tolerance !== undefined && expected === undefined)
      throw new UsageError("--tolerance is for --verify; add that, or drop it");
    const output = args.output ?? `${stem(source)}${SUFFIXES[to]}`;
    if (existsSync(output) && existsSync(source) && realpathSync(output) === realpathSync(source)) {
      throw new UsageError(`${output} is the input itself; give another path with -o`);
    }

    const line = workLine();
    const onProgress = (done: number, total: number) => line.show(`writing ${basename(output)}`, done, total);
    const checkpoint = openCheckpoint((await chooseModel(source, args.download)) ?? source);
    const skipped = checkpoint.skipped.map(quoted).join(", ");
    if (skipped !== "") messages.info(`Left out, because it is not part of the model: ${skipped}`);
    if (to === "safetensors") return await writeTensors(checkpoint, output, onProgress);
    const options: ConvertOptions = {
      to,
      dtype: DTYPES[dtype],
      ignoreUnknown,
      onProgress,
      ...(expected !== undefined && { check: (path) => check(path, expected, tolerance) }),
    };
    const converted = await convertModel(checkpoint, output, options);
    for (const line of roleLines(converted)) messages.info(line);
    for (const { finite, binding } of converted.weights) {
      if (!finite) messages.warn(`${source}: tensor ${quoted(binding.name)} has NaNs or infinities`);
    }
    messages.info(`${converted.weights.length} tensors as ${dtype}, ${formatBytes(converted.bytes)}`);
    if (dtype === "int8") messages.info(speedLine());
    if (dtype !== "f32") await showCost(checkpoint, output, options, dtype);
    print(`${output}\n`);
  },
});

async function writeTensors(checkpoint: Checkpoint, output: string, onProgress: OnBytes): Promise<void> {
  const { bytes, shared } = await convertTensors(checkpoint, output, onProgress);
  for (const [name, first] of shared)
    messages.info(`${quoted(name)} is ${quoted(first)}, which is written once`);
  messages.info(`${checkpoint.tensors.size} tensors as they are, ${formatBytes(bytes)}`);
  print(`${output}\n`);
}

/** Throws unless the model at `path` computes what the file says. */
async function check(path: string, expected: string, tolerance = TOLERANCE): Promise<void> {
  using model = await openModel(path);
  const verification = await verify(model, expected, { tolerance });
  messages.info(verificationText(verification).trimEnd());
  if (!verification.passed)
    throw new UffbError(`${expected}: the result does not reproduce it; nothing was written`);
}

/** A failure here is only a warning: the file is already written and valid. */
async function showCost(checkpoint: Checkpoint, output: string, options: ConvertOptions, dtype: string) {
  try {
    const packed = options.to === "packed" ? output : join(output, "model.safetensors");
    for (const line of costLines(await costOf(checkpoint, packed, options), dtype)) messages.info(line);
  } catch (error) {
    messages.warn(`what ${dtype} changes could not be measured: ${(error as Error).message}`);
  }
}

/** The folder's or file's own name, without what tells the format. */
function stem(path: string): string {
  return basename(resolve(path)).replace(/(\.uffb)?\.(safetensors|bin|pth?|ckpt)$/, "");
}
