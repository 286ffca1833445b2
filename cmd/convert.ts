import { basename, resolve } from "node:path";
import { openCheckpoint } from "../lib/checkpoint.ts";
import { writePacked } from "../lib/packed/write.ts";
import { printable } from "../lib/safetensors.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { print } from "./cli/terminal.ts";

const DTYPES = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

export default command({
  meta: { name: "convert", description: "Pack a model's folder into one file that opens in milliseconds" },
  positionals: [
    {
      name: "model",
      description:
        "Folder with config.json and the checkpoint, a checkpoint's file beside its config.json, or a packed file",
      required: true,
    },
  ],
  args: {
    output: {
      type: "string",
      alias: "o",
      valueHint: "path",
      description: "File to write; default: NAME.uffb.safetensors in the current folder",
    },
    dtype: {
      type: "enum",
      options: ["f32", "f16", "bf16"],
      default: "f32",
      description: "How weights are stored: f32 opens fastest and is exact, the others take half the space",
    },
  },
  examples: [
    "uffb convert models/UltraFastBERT-1x11-long",
    "uffb convert models/sst2 --dtype f16 -o sst2.uffb.safetensors && uffb infer --model sst2.uffb.safetensors 'A fine film.'",
  ],

  run({ args, positionals }) {
    const source = positionals[0]!;
    const output = args.output ?? `${stem(source)}.uffb.safetensors`;
    const { bytes, tensors, notFinite } = writePacked(openCheckpoint(source), output, DTYPES[args.dtype]);
    for (const name of notFinite)
      messages.warn(`${source}: tensor ${printable(name)} has NaNs or infinities`);
    messages.info(`${tensors} tensors as ${args.dtype}, ${(bytes / 1e6).toFixed(1)} MB`);
    print(`${output}\n`);
  },
});

/** The folder's or file's own name, without what tells the format. */
function stem(path: string): string {
  return basename(resolve(path)).replace(/(\.uffb)?\.safetensors$/, "");
}
