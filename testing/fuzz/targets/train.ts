/** What training and its experiments read: data with labels, text, and what earlier runs left. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NativeTrainer } from "../../../ffi/train.ts";
import { UffbError } from "../../../lib/base/errors.ts";
import { readDocuments } from "../../../lib/data/corpus.ts";
import { readExamples } from "../../../lib/data/own/examples.ts";
import { isReplay, replay, verifyGradients } from "../../../lib/eval/verify/training.ts";
import { verify } from "../../../lib/eval/verify/verify.ts";
import { openCheckpoint } from "../../../lib/files/checkpoint.ts";
import { parseTensorFile } from "../../../lib/files/safetensors/safetensors.ts";
import { safetensorsStart, type TensorSource } from "../../../lib/files/safetensors/write.ts";
import { PRESETS, parseContender } from "../../../lib/lab/iso/plan.ts";
import { csv, findings } from "../../../lib/lab/iso/report.ts";
import { readTrained, rowsOf } from "../../../lib/lab/iso/results.ts";
import { openModel } from "../../../lib/model/model.ts";
import { Tokenizer } from "../../../lib/text/tokenizer/tokenizer.ts";
import { learnTokens, VocabularyText } from "../../../lib/text/vocab/vocabulary.ts";
import { RunLog } from "../../../lib/train/log.ts";
import { tokensOf } from "../../../lib/train/pretrain/tokens.ts";
import { newProgress, openState, restoreState, saveState } from "../../../lib/train/state.ts";
import { forgeParquet } from "../../parquet.ts";
import { openTraining } from "../../train.ts";
import { encode, FIXTURES, files, ownFolder, type Target, withFile } from "./common.ts";

const MODELS = join(FIXTURES, "reference-train");
const LABELLED = encode('text,label\ngood,1\n"bad, bad",0\nfine,1\nawful,0\n');
const TEXT = "One line of text.\n\nAnother, and a third\nwith a second part.\n";

/** A safetensors file with some of another's tensors; those of every step are of the first two. */
function fewSteps(file: Uint8Array): Uint8Array {
  const { metadata, tensors } = parseTensorFile(file, "steps");
  const steps = tensors.get("lr")!.shape[0];
  const kept = [...tensors].filter(([name]) => !name.startsWith("end.") || name.includes("bias"));
  const sources = kept.map(([name, { dtype, shape, data }]): TensorSource => {
    if (name.startsWith("end.")) return { name, dtype, shape, data: () => [data] };
    const part = data.subarray(0, (data.length / steps!) * 2);
    return { name, dtype, shape: [2, ...shape.slice(1)], data: () => [part] };
  });
  return joined(metadata, sources);
}

function joined(metadata: Readonly<Record<string, string>>, sources: readonly TensorSource[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat([
      safetensorsStart({ ...metadata }, sources),
      ...sources.flatMap(({ data }) => [...data()]),
    ]),
  );
}

let trainer: NativeTrainer | undefined;

/** A trainer that checkpoints are read into, one after the other. */
function aTrainer(): NativeTrainer {
  trainer ??= openTraining(join(MODELS, "cls-fff"), { threads: 1 }).trainer;
  return trainer;
}

/** Checkpoints of a run: at its start, and further on with all of its progress. */
async function states(): Promise<Uint8Array[]> {
  const path = join(ownFolder(), "seed.safetensors");
  const epoch = {
    event: "epoch",
    epoch: 1,
    step: 7,
    train_loss: 0.5,
    seconds: 2,
    scores: { accuracy: 0.5 },
  } as const;
  const later = {
    ...newProgress("generic"),
    step: 7,
    loss: 1.5,
    epochs: [epoch],
    logBytes: 99,
    seconds: 3.5,
  };
  const seeds: Uint8Array[] = [];
  for (const progress of [newProgress("generic"), later, { ...later, stopped: true }]) {
    await saveState(path, aTrainer(), { lr: 1e-3, seed: 1, data: [{ rows: 4 }] }, progress);
    seeds.push(new Uint8Array(readFileSync(path)));
  }
  return seeds;
}

const TRAINED = {
  name: "1x2",
  seed: 1,
  loss: 5.5,
  accuracy: 0.1,
  tokens: 4000,
  parameters: 1234,
  bits: 1.5,
  seconds: 3,
  tokens_per_second: 1300,
};

let vocabulary: string | undefined;

export const TRAIN: Readonly<Record<string, Target>> = {
  labels: {
    seeds: async () => [
      LABELLED,
      encode("text\tscore\na\t0.5\nb\t1.25\nc\t0.125\n"),
      encode('{"text":"a","labels":["x","y"]}\n{"text":"b","labels":["y"]}\n{"text":"c","labels":[]}\n'),
      encode(
        '{"sentence1":"a","sentence2":"b","label":"yes"}\n{"sentence1":"c","sentence2":"d","label":"no"}\n',
      ),
      Bun.gzipSync(new Uint8Array(LABELLED)),
    ],
    read: withFile("case", async (path) => void (await readExamples(path, { split: 0, seed: 1 }))),
  },
  corpus: {
    seeds: async () => [
      encode(TEXT),
      encode('{"text":"one"}\n{"text":"two"}\n'),
      forgeParquet(6, [{ name: "text" }]),
      Bun.gzipSync(new Uint8Array(encode(TEXT))),
      ...(await files("glue/hub/**/sst2/*.parquet")),
    ],
    async read(bytes) {
      const documents = bytes.length % 2 ? "lines" : "blank-lines";
      await withFile("case", async (path) => {
        const text = new VocabularyText(1000);
        for await (const document of readDocuments(path, { documents, field: "text" }))
          if ("text" in document) text.add(document.text);
        learnTokens(text.counts(), { size: 300, leastCount: 2 });
      })(bytes);
    },
  },
  // Bytes are what is known of a corpus whose tokens lie there.
  tokens: {
    seeds: async () => {
      const { text, tokenizer, vocabulary, corpus } = corpusFiles();
      writeFileSync(corpus, text);
      const folder = join(ownFolder(), "tokens");
      const { facts } = await tokensOf([corpus], tokenizer, vocabulary, folder, { mostTokens: 1 });
      return [facts, { ...facts, files: [] }, { ...facts, tokens: 1 }].map((value) =>
        encode(JSON.stringify(value, null, 2)),
      );
    },
    async read(bytes) {
      const { tokenizer, vocabulary, corpus } = corpusFiles();
      const folder = join(ownFolder(), "tokens");
      const made = [...new Bun.Glob("tokens-*.json").scanSync(folder)][0]!;
      writeFileSync(join(folder, made), bytes);
      const { ids, facts } = await tokensOf([corpus], tokenizer, vocabulary, folder, { mostTokens: 1 });
      if (ids.length !== facts.tokens) throw new Error("tokens and their number differ");
    },
  },
  state: {
    seeds: states,
    read: withFile("state.safetensors", (path) => restoreState(path, openState(path), aTrainer())),
  },
  log: {
    seeds: async () =>
      [
        '{"event":"start","step":0}\n{"event":"step","step":1,"loss":0.5}\n',
        '{"event":"epoch","epoch":1,"step":1,"train_loss":0.5,"seconds":1}\n',
        "\n",
      ].map(encode),
    read: (bytes) => withFile("log.jsonl", (path) => new RunLog(path, bytes.length)[Symbol.dispose]())(bytes),
  },
  // Of two models, one is the file's: a run to replay, or a batch with its loss.
  steps: {
    seeds: async () => [
      ...(await files("reference-train/{cls-fff,mlm-fff}/steps.safetensors")).map(fewSteps),
      ...(await files("reference/fff-1x5/expected.safetensors")),
    ],
    read: withFile("steps.safetensors", async (path) => {
      const failures: unknown[] = [];
      for (const folder of ["reference-train/cls-fff", "reference-train/mlm-fff", "reference/fff-1x5"]) {
        try {
          const source = join(FIXTURES, folder);
          const checkpoint = openCheckpoint(source);
          if (isReplay(path)) await replay(checkpoint, path, { threads: 1 });
          else {
            using model = await openModel(source);
            await verify(model, path, { threads: 1 });
            await verifyGradients(checkpoint, path, { threads: 1 });
          }
          return;
        } catch (error) {
          if (!(error instanceof UffbError)) throw error;
          failures.push(error);
        }
      }
      throw failures[0];
    }),
  },
  // Bytes are the results of a model of `uffb lab iso`.
  iso: {
    seeds: async () =>
      [TRAINED, { ...TRAINED, bits: undefined }, { ...TRAINED, name: "dense:4" }].map((value) =>
        encode(JSON.stringify(value)),
      ),
    read: withFile("1x2-seed1.json", (path) => {
      const trained = readTrained(path);
      if (trained === undefined) throw new UffbError("is trained again");
      const { shape, recipe } = PRESETS.tiny;
      const plan = {
        shape,
        recipe,
        seeds: 1,
        contenders: [parseContender("1x2"), parseContender("dense:4")],
      };
      const times = new Map(plan.contenders.map(({ name }) => [name, { alone: 1, batched: 1 }]));
      const rows = rowsOf(plan, [trained, { ...trained, name: "dense:4" }], times);
      csv(rows);
      findings(rows);
    }),
  },
};

function corpusFiles() {
  vocabulary ??= readFileSync(join(FIXTURES, "tokenizers/bert.json"), "utf8");
  tokenizer ??= Tokenizer.parse(vocabulary, "tokenizer.json");
  return { text: TEXT, tokenizer, vocabulary, corpus: join(ownFolder(), "corpus.txt") };
}

let tokenizer: Tokenizer | undefined;
