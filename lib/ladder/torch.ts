/** The peer: the same texts in PyTorch, padded as FastFormers' baseline was, on one thread. */

import { CancelledError } from "../../ffi/status.ts";
import { UffbError } from "../base/errors.ts";
import { tryJson } from "../base/json.ts";
import type { Input } from "../eval/glue/run.ts";

/** An interpreter that has what the peer needs. */
export interface Python {
  path: string;
  /** Of torch and transformers, for people. */
  versions: string;
}

const PROBE = `import torch, transformers
print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}")`;

/** Undefined where there is no such program, or it lacks torch or transformers. */
export async function findPython(path: string): Promise<Python | undefined> {
  const program = Bun.which(path);
  if (program === null) return undefined;
  const child = Bun.spawn([program, "-c", PROBE], { stdout: "pipe", stderr: "ignore" });
  const versions = (await child.stdout.text()).trim();
  return (await child.exited) === 0 ? { path: program, versions } : undefined;
}

/**
 * Texts one at a time, all padded to one length with an attention mask. Tensors are made before the clock runs; what is timed is the
 * model and reading its logits. Reads a job as JSON from stdin, writes JSON to stdout.
 */
const SCRIPT = `
import json, sys, time, torch
from transformers import AutoModelForSequenceClassification
job = json.load(sys.stdin)
torch.set_num_threads(1)
torch.set_num_interop_threads(1)
model = AutoModelForSequenceClassification.from_pretrained(job["model"], local_files_only=True).float().eval()
def padded(values, fill):
    return torch.tensor([values + [fill] * (job["length"] - len(values))])
inputs = []
for one in job["inputs"]:
    x = {"input_ids": padded(one["ids"], job["pad"]), "attention_mask": padded([1] * len(one["ids"]), 0)}
    if one["types"] is not None:
        x["token_type_ids"] = padded(one["types"], 0)
    inputs.append(x)
with torch.inference_mode():
    for x in inputs[:3]:
        model(**x)
    seconds = []
    while len(seconds) < job["repeat"] and sum(seconds) < job["enough"]:
        start = time.perf_counter()
        logits = [model(**x).logits[0].tolist() for x in inputs]
        seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": seconds, "logits": logits}))
`;

export interface TorchJob {
  /** A folder that transformers loads. */
  model: string;
  inputs: readonly Input[];
  /** Tokens that every input is padded to. */
  length: number;
  /** Id of the pad token. */
  pad: number;
  repeat: number;
  /** Seconds after which no further run begins. */
  enough: number;
  signal?: AbortSignal | undefined;
}

export interface TorchResult {
  /** Of each run over all inputs. */
  seconds: number[];
  /** [inputs][labels], in the model's order. */
  logits: number[][];
}

/** @throws UffbError with Python's own reason where the model does not run there; CancelledError */
export async function runTorch(python: Python, job: TorchJob): Promise<TorchResult> {
  const { model, inputs, length, pad, repeat, enough, signal } = job;
  const tokens = inputs.map(({ ids, types }) => ({
    ids: Array.from(ids),
    types: types ? Array.from(types) : null,
  }));
  const child = Bun.spawn([python.path, "-c", SCRIPT], {
    stdin: Buffer.from(JSON.stringify({ model, inputs: tokens, length, pad, repeat, enough })),
    stdout: "pipe",
    stderr: "pipe",
    ...(signal && { signal }),
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const code = await child.exited;
  if (signal?.aborted) throw new CancelledError("stopped; the same command goes on");
  const read = tryJson(out);
  if (code !== 0 || "error" in read)
    throw new UffbError(`${model} does not run in PyTorch: ${reasonOf(err) ?? `exit code ${code}`}`);
  return read.value as TorchResult;
}

/** Most characters of what Python says. */
const MOST_REASON = 160;

/** The error that ended a program, of its traceback. */
function reasonOf(err: string): string | undefined {
  const line = err.split("\n").findLast((text) => /^[\w.]*(Error|Exception)\b/.test(text));
  return line === undefined || line.length <= MOST_REASON ? line : `${line.slice(0, MOST_REASON)}…`;
}
