/** What is fuzzed: for each kind of file, honest ones to start from and everything uffb does with one that a stranger sent. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NativeContext } from "../../ffi/context.ts";
import { NativeModel } from "../../ffi/model.ts";
import { convertModel } from "../../lib/convert/convert.ts";
import { openCheckpoint } from "../../lib/files/checkpoint.ts";
import { allFinite } from "../../lib/files/finite.ts";
import { unpickle } from "../../lib/files/pickle/machine.ts";
import { parsePickle } from "../../lib/files/pickle/pickle.ts";
import { TorchHost } from "../../lib/files/pickle/tensors.ts";
import { readZip } from "../../lib/files/pickle/zip.ts";
import { namedTensors, parseTensorFile, type StoredTensor } from "../../lib/files/safetensors/safetensors.ts";
import { parseConfig } from "../../lib/model/config.ts";
import { openModel } from "../../lib/model/model.ts";
import { Tokenizer } from "../../lib/text/tokenizer/tokenizer.ts";
import { decode, FIXTURES, files, type Target, withFile } from "./targets/common.ts";
import { DATA } from "./targets/data.ts";
import { HUB } from "./targets/hub.ts";
import { TEXT as TEXT_TARGETS } from "./targets/text.ts";

export type { Target } from "./targets/common.ts";

/** What a bad vocabulary or expression takes long over. */
const LONG = ["a".repeat(2000), "[M".repeat(500), `${"a b ".repeat(300)}\n`];
const TEXT = 'The film was [MASK] by "Steven Spielberg": déjà-vu ﬁn, 中文 and 😀.';

function readTensors(tensors: Map<string, StoredTensor>): void {
  for (const { dtype, data } of tensors.values()) allFinite({ dtype, data });
}

function useTokenizer(tokenizer: Tokenizer): void {
  const { ids } = tokenizer.encode(TEXT, { pair: TEXT, maxLength: 48 });
  tokenizer.encode(TEXT);
  for (const text of LONG) tokenizer.encode(text);
  tokenizer.decode(ids);
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

/** Opens a packed model, and runs it on a few tokens if it lets itself be opened. */
const readPacked = withFile("packed", async (path) => {
  using model = await openModel(path);
  const tokenizer = model.optionalTokenizer();
  if (tokenizer) useTokenizer(tokenizer);
  using context = new NativeContext(model.native, { threads: 1 });
  await context.encode({ offsets: BigInt64Array.of(0n, 3n), ids: Int32Array.of(0, 2, 1) });
});

export const TARGETS: Readonly<Record<string, Target>> = {
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
  tokenizer: {
    seeds: () => files("tokenizers/*.json"),
    read: (bytes) => useTokenizer(Tokenizer.parse(decode(bytes), "case")),
  },
  packed: { seeds: packed, read: readPacked },
  ...DATA,
  ...TEXT_TARGETS,
  ...HUB,
};
