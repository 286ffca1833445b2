/** The peer: the same texts in PyTorch, padded as FastFormers' baseline was, on one thread. */

import { CancelledError } from "../../ffi/status.ts";
import { UffbError } from "../base/errors.ts";
import { type JsonObject, readObject } from "../base/json.ts";
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
 * Reads a job as a line of JSON from stdin, writes the logits of all texts, each of its own length, and then the seconds of the padded ones
 * for each further line. Tensors are made before the clock runs; what is timed is the model and reading its logits.
 */
const SCRIPT = `
import json, sys, time, torch
from transformers import AutoModelForSequenceClassification
job = json.loads(sys.stdin.readline())
torch.set_num_threads(1)
torch.set_num_interop_threads(1)
model = AutoModelForSequenceClassification.from_pretrained(job["model"], local_files_only=True).float().eval()
def padded(one, length):
    def row(values, fill):
        return torch.tensor([values + [fill] * (length - len(values))])
    x = {"input_ids": row(one["ids"], job["pad"]), "attention_mask": row([1] * len(one["ids"]), 0)}
    if one["types"] is not None:
        x["token_type_ids"] = row(one["types"], 0)
    return x
def say(**what):
    print(json.dumps(what), flush=True)
with torch.inference_mode():
    say(logits=[model(**padded(one, len(one["ids"]))).logits[0].tolist() for one in job["inputs"]])
    inputs = [padded(one, job["length"]) for one in job["timed"]]
    for _ in sys.stdin:
        model(**inputs[0])
        start = time.perf_counter()
        for x in inputs:
            model(**x).logits[0].tolist()
        say(seconds=time.perf_counter() - start)
`;

export interface TorchJob {
  /** A folder that transformers loads. */
  model: string;
  inputs: readonly Input[];
  /** Those that a turn runs. */
  timed: readonly Input[];
  /** Tokens that each of them is padded to. */
  length: number;
  /** Id of the pad token. */
  pad: number;
  signal?: AbortSignal | undefined;
}

/** The model, running there. */
export interface Peer {
  /** [inputs][labels], in the model's order. */
  logits: number[][];
  /** Seconds of the texts that are timed. */
  turn(): Promise<number>;
  close(): Promise<void>;
}

/** @throws UffbError with Python's own reason where the model does not run there; CancelledError; both also from its turns */
export async function openPeer(python: Python, job: TorchJob): Promise<Peer> {
  const { model, inputs, timed, length, pad, signal } = job;
  const child = Bun.spawn([python.path, "-c", SCRIPT], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    ...(signal && { signal }),
  });
  const err = child.stderr.text();
  const answers = linesFrom(child.stdout);
  const ask = async (line: string): Promise<JsonObject> => {
    child.stdin.write(`${line}\n`);
    await child.stdin.flush();
    const { value: answer } = await answers.next();
    if (answer !== undefined) return readObject(answer, python.path);
    const code = await child.exited;
    if (signal?.aborted) throw new CancelledError("stopped; the same command goes on");
    throw new UffbError(`${model} does not run in PyTorch: ${reasonOf(await err) ?? `exit code ${code}`}`);
  };
  const plain = (all: readonly Input[]) =>
    all.map(({ ids, types }) => ({ ids: Array.from(ids), types: types ? Array.from(types) : null }));
  const { logits } = await ask(
    JSON.stringify({ model, inputs: plain(inputs), timed: plain(timed), length, pad }),
  );
  return {
    logits: logits as number[][],
    turn: async () => (await ask("again")).seconds as number,
    async close() {
      await child.stdin.end();
      await child.exited;
    },
  };
}

async function* linesFrom(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

/** Most characters of what Python says. */
const MOST_REASON = 160;

/** The error that ended a program, of its traceback. */
function reasonOf(err: string): string | undefined {
  const line = err.split("\n").findLast((text) => /^[\w.]*(Error|Exception)\b/.test(text));
  return line === undefined || line.length <= MOST_REASON ? line : `${line.slice(0, MOST_REASON)}…`;
}
