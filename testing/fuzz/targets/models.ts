/** Models: weights, configs, packed files, and folders of several files. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { NativeContext } from "../../../ffi/context.ts";
import { NativeModel } from "../../../ffi/model.ts";
import { convertModel } from "../../../lib/convert/convert.ts";
import { openCheckpoint } from "../../../lib/files/checkpoint.ts";
import { allFinite } from "../../../lib/files/finite.ts";
import { unpickle } from "../../../lib/files/pickle/machine.ts";
import { parsePickle } from "../../../lib/files/pickle/pickle.ts";
import { TorchHost } from "../../../lib/files/pickle/tensors.ts";
import { readZip } from "../../../lib/files/pickle/zip.ts";
import {
  namedTensors,
  parseTensorFile,
  type StoredTensor,
} from "../../../lib/files/safetensors/safetensors.ts";
import { parseConfig } from "../../../lib/model/config.ts";
import { openModel } from "../../../lib/model/model.ts";
import { decode, FIXTURES, files, ownFolder, type Target, withFile } from "./common.ts";
import { useTokenizer } from "./tokenizer.ts";

function readTensors(tensors: Map<string, StoredTensor>): void {
  for (const { dtype, data } of tensors.values()) allFinite({ dtype, data });
}

/** The pickles inside the ZIP files among the fixtures: no container to keep intact. */
async function pickles(): Promise<Uint8Array[]> {
  return (await files("pickle/*.bin"))
    .filter((file) => file[0] === 0x50)
    .flatMap((file) => [...readZip(file)].filter(([name]) => name.endsWith("/data.pkl")))
    .map(([, data]) => data);
}

const PACKED = [
  ["reference/fff-3x2", "F32"],
  ["reference/cls-2", "F16"],
  ["reference/fff-1x5", "I8"],
  ["reference-bert/bert-cls", "F32"],
  ["reference-bert/bert-cls", "I8"],
] as const;

/** Small models as packed files, with a tokenizer and without. */
async function packed(): Promise<Uint8Array[]> {
  const folder = mkdtempSync(join(tmpdir(), "uffb-fuzz-"));
  try {
    const seeds: Uint8Array[] = [];
    for (const [model, dtype] of PACKED) {
      for (const file of ["config.json", "model.safetensors"]) {
        copyFileSync(join(FIXTURES, model, file), join(folder, file));
      }
      const output = join(folder, "packed");
      await convertModel(openCheckpoint(folder), output, { to: "packed", dtype });
      seeds.push(new Uint8Array(readFileSync(output)));
      copyFileSync(join(FIXTURES, "tokenizers", "bert-accents.json"), join(folder, "tokenizer.json"));
    }
    return seeds;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Opens a model, and runs it on a few tokens if it lets itself be opened. */
async function useModel(path: string): Promise<void> {
  using model = await openModel(path);
  const tokenizer = model.optionalTokenizer();
  if (tokenizer) useTokenizer(tokenizer);
  model.scoring();
  model.sentence();
  using context = new NativeContext(model.native, { threads: 1 });
  await context.encode({ offsets: BigInt64Array.of(0n, 3n), ids: Int32Array.of(0, 2, 1) });
}

/** A reader of a file among others of a model, copied from a folder of fixtures. */
function inFolder(model: string, others: readonly string[], name: string): Target["read"] {
  let folder: string | undefined;
  return async (bytes) => {
    if (folder === undefined) {
      folder = join(ownFolder(), model.replaceAll("/", "-"));
      for (const other of others) {
        const to = join(folder, other.slice(other.lastIndexOf(":") + 1));
        mkdirSync(dirname(to), { recursive: true });
        copyFileSync(
          join(FIXTURES, other.includes(":") ? other.slice(0, other.indexOf(":")) : join(model, other)),
          to,
        );
      }
    }
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true }); // a mapping of the last one may be there still
    writeFileSync(path, bytes);
    await useModel(folder);
  };
}

/** One honest file where there is no other: pieces of itself are spliced into it. */
const thrice = async (found: Promise<Uint8Array[]>) =>
  Array(3)
    .fill(await found)
    .flat() as Uint8Array[];

const SHARDS = ["00001-of-00002", "00002-of-00002"].map((part) => `pytorch_model-${part}.bin`);
const VECTORS = "heads/vectors/dense-two";
const BASE = ["config.json", "model.safetensors", "tokenizer.json"].map(
  (name) => `heads/base/${name}:${name}`,
);
const MODULES = [
  "modules.json",
  "1_Pooling/config.json",
  "2_Dense/config.json",
  "3_Dense/config.json",
  "3_Dense/model.safetensors",
];

export const MODELS: Readonly<Record<string, Target>> = {
  safetensors: {
    seeds: () => files("reference{,-bert}/*/model.safetensors"),
    read: (bytes) => readTensors(namedTensors(parseTensorFile(bytes, "case"))),
  },
  checkpoint: {
    seeds: () => files("pickle/*.bin"),
    read: (bytes) => readTensors(parsePickle(bytes, "case")),
  },
  pickle: {
    seeds: pickles,
    read: (bytes) => void unpickle(bytes, 0, new TorchHost()),
  },
  zip: {
    seeds: () => files("pickle/{types.zip,views.zip,module,training}.bin"),
    read: (bytes) => void readZip(bytes),
  },
  config: {
    seeds: () => files("reference{,-bert}/*/config.json"),
    read: (bytes) => {
      using model = new NativeModel(parseConfig(decode(bytes), "case").arch);
      model.tensors();
    },
  },
  packed: { seeds: packed, read: withFile("packed", useModel) },
  // The weights of a sentence model, converted and run.
  weights: {
    seeds: () => thrice(files("heads/base/model.safetensors")),
    read: inFolder("heads/base", ["config.json", "tokenizer.json"], "model.safetensors"),
  },
  "weight index": {
    seeds: () => thrice(files("pickle/cls-2.sharded/*.json")),
    read: inFolder(
      "pickle/cls-2.sharded",
      [...SHARDS, "reference/cls-2/config.json:config.json"],
      "pytorch_model.bin.index.json",
    ),
  },
  // The weights of a layer after the pooling.
  "module weights": {
    seeds: () => thrice(files(`${VECTORS}/2_Dense/model.safetensors`)),
    read: inFolder(VECTORS, [...BASE, ...MODULES], "2_Dense/model.safetensors"),
  },
};
