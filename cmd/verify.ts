import { interruptSignal } from "../lib/base/signals.ts";
import { verificationJson, verificationText } from "../lib/eval/verify/report.ts";
import { isReplay, replay, TRAINING_TOLERANCE, verifyGradients } from "../lib/eval/verify/training.ts";
import { TOLERANCE, type Verification, type VerifyOptions, verify } from "../lib/eval/verify/verify.ts";
import { openCheckpoint } from "../lib/files/checkpoint.ts";
import { openModel } from "../lib/model/model.ts";
import { threadsArg } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { print, workLine } from "./cli/terminal.ts";

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
        "A .safetensors file with input_ids, attention_mask and the stages to compare: embedding, layer.0 …, path.0 …, final, logits, sentence; with labels also loss and grad.PARAMETER; or the steps of a run, to be replayed",
      required: true,
    },
  ],
  args: {
    tolerance: {
      type: "number",
      min: 0,
      description: `Largest error allowed, relative to the largest magnitude of its tensor; default: ${TOLERANCE}, of losses and gradients ${TRAINING_TOLERANCE}`,
    },
    json: { type: "boolean", description: "Write one JSON object" },
    threads: threadsArg,
  },
  examples: [
    "uffb verify fixtures/reference/fff-1x5 fixtures/reference/fff-1x5/expected.safetensors",
    "uffb verify fixtures/reference-train/cls-fff fixtures/reference-train/cls-fff/steps.safetensors",
    "UFFB_ISA=generic uffb verify models/mine expected.safetensors --json",
  ],
  sections: {
    "A RUN TO REPLAY": [
      "input_ids, attention_mask [steps, batch, seq], labels, lr [steps]; loss and grad_norm [steps], before clipping, and end.PARAMETER after the last step are compared. The metadata give beta1, beta2, eps, weight_decay and clip; weights decay but for those with bias or norm in their name. Where a branch was nearly a tie on the way, the weights at the end may differ by 2e-3.",
    ],
  },
  exitCodes: { 1: "failure: an error above the tolerance, a path that differs, or nothing to compare" },

  async run({ args, positionals }) {
    const [path, expected] = positionals as [string, string];
    const { tolerance, threads } = args;
    const line = workLine();
    const options = {
      signal: interruptSignal(),
      onProgress: (done: number, total: number) => line.show("comparing", done, total),
      ...(tolerance !== undefined && { tolerance }),
      ...(threads !== undefined && { threads }),
    };
    const verification = isReplay(expected)
      ? await replay(openCheckpoint(path), expected, options)
      : await verifyAll(path, expected, options);
    print(args.json ? verificationJson(path, expected, verification) : verificationText(verification));
    return verification.passed ? 0 : 1;
  },
});

/** The stages of a forward pass, and what training makes of the same batch. */
async function verifyAll(path: string, expected: string, options: VerifyOptions): Promise<Verification> {
  using model = await openModel(path);
  for (const warning of model.warnings) messages.warn(warning);
  const forward = await verify(model, expected, options);
  const training = await verifyGradients(openCheckpoint(path), expected, options);
  if (training === undefined) return forward;
  return {
    ...forward,
    tensors: [...forward.tensors, ...training.tensors],
    ignored: forward.ignored.filter((name) => training.ignored.includes(name)),
    passed: training.passed && (forward.passed || forward.tensors.length === 0),
  };
}
