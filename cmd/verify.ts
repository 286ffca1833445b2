import { verificationJson, verificationText } from "../lib/eval/verify/report.ts";
import { TOLERANCE, verify } from "../lib/eval/verify/verify.ts";
import { openModel } from "../lib/model/model.ts";
import { threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { interruptSignal } from "./cli/interrupt.ts";
import { messages } from "./cli/messages.ts";
import { print } from "./cli/terminal.ts";

export default command({
  meta: {
    name: "verify",
    description: "Compare every stage of a model with what its original code computed",
  },
  positionals: [
    {
      name: "model",
      description:
        "Folder with config.json and a checkpoint, a packed model, or org/name of a downloaded one",
      required: true,
    },
    {
      name: "expected",
      description:
        "A .safetensors file with input_ids, attention_mask and the stages to compare: embedding, layer.0 …, path.0 …, final, logits, sentence",
      required: true,
    },
  ],
  args: {
    tolerance: {
      type: "number",
      default: TOLERANCE,
      min: 0,
      description: "Largest error allowed, relative to the largest magnitude of its tensor",
    },
    json: { type: "boolean", description: "Write one JSON object" },
    threads: threadsArg,
  },
  examples: [
    "uffb verify fixtures/reference/fff-1x5 fixtures/reference/fff-1x5/expected.safetensors",
    "UFFB_ISA=generic uffb verify models/mine expected.safetensors --json",
  ],
  exitCodes: { 1: "failure: an error above the tolerance, a path that differs, or nothing to compare" },

  async run({ args, positionals }) {
    const [path, expected] = positionals as [string, string];
    using model = await openModel(path);
    for (const warning of model.warnings) messages.warn(warning);
    const { tolerance, threads } = args;
    const verification = await verify(model, expected, {
      tolerance,
      signal: interruptSignal(),
      ...(threads !== undefined && { threads }),
    });
    print(args.json ? verificationJson(path, expected, verification) : verificationText(verification));
    return verification.passed ? 0 : 1;
  },
});
