/** Tokenizers of all kinds, and the files beside them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UffbError } from "../../../lib/base/errors.ts";
import { isObject, readJson } from "../../../lib/base/json.ts";
import type { ModelFiles } from "../../../lib/files/folder.ts";
import { reportKeys, unknownKeys } from "../../../lib/model/keys/report.ts";
import { readTokenizer, tokenizerTexts } from "../../../lib/model/tokenizers/read.ts";
import { readCharsMap } from "../../../lib/text/tokenizer/precompiled.ts";
import { Tokenizer } from "../../../lib/text/tokenizer/tokenizer.ts";
import { forgeCharsMap } from "../../charsmap.ts";
import { decode, encode, FIXTURES, files, type Target } from "./common.ts";

/** What a bad vocabulary or expression takes long over. */
const LONG = ["a".repeat(2000), "[M".repeat(500), `${"a b ".repeat(300)}\n`];
const TEXT = 'The film was [MASK] by "Steven Spielberg": déjà-vu ﬁn, 中文 and 😀.';

export function useTokenizer(tokenizer: Tokenizer): void {
  const { ids } = tokenizer.encode(TEXT, { pair: TEXT, maxLength: 48 });
  for (const text of LONG) tokenizer.spans(text, tokenizer.encode(text).ids.length, 0);
  tokenizer.spans(TEXT, tokenizer.encode(TEXT, { literal: true }).ids.length, 0);
  tokenizer.decode(ids);
}

const unzipped = (file: Uint8Array) => Bun.gunzipSync(new Uint8Array(file));

/** With characters mapped, and byte tokens; and one that maps characters by itself. */
async function unigrams(): Promise<Uint8Array[]> {
  const [albert, bytes] = (await files("unigram/{albert,bytes}.json.gz")).map(unzipped);
  const map = Buffer.from(forgeCharsMap({ a: "b", b: "" })).toString("base64");
  const mapping = {
    ...JSON.parse(decode(bytes!)),
    normalizer: { type: "Precompiled", precompiled_charsmap: map },
  };
  return [albert!, bytes!, encode(JSON.stringify(mapping))];
}

/** Maps of characters: small ones, and one that is in use. */
async function charsMaps(): Promise<Uint8Array[]> {
  const [model] = (await files("unigram/xlm-roberta.json.gz")).map(unzipped);
  const [, used] = /"precompiled_charsmap":\s*"([^"]+)"/.exec(decode(model!))!;
  return [
    forgeCharsMap({ a: "b", b: "", c: "cc" }),
    forgeCharsMap({ a: "a long text", M: "" }),
    forgeCharsMap({ a: "b" }, false),
    new Uint8Array(Buffer.from(used!, "base64")),
  ];
}

/** The files of a folder by name, as one object. */
function folders(): Uint8Array[] {
  const root = join(FIXTURES, "vocabularies");
  return readdirSync(root)
    .sort()
    .map((folder) =>
      encode(
        JSON.stringify(
          Object.fromEntries(
            readdirSync(join(root, folder))
              .filter((name) => name !== "golden.jsonl")
              .map((name) => [name, readFileSync(join(root, folder, name), "utf8")]),
          ),
        ),
      ),
    );
}

/** A small tokenizer with files beside it that say other things, in several ways. */
function beside(): Uint8Array[] {
  const { cases, ...bases } = JSON.parse(readFileSync(join(FIXTURES, "beside/tokenizers.json"), "utf8")) as {
    cases: { base: string; change: object; files: Record<string, unknown> }[];
  } & Record<string, object>;
  return cases.slice(0, 12).map(({ base, change, files }) => {
    const all = { "tokenizer.json": { ...bases[base], ...change }, ...files };
    const texts = Object.entries(all).map(([name, value]) => [name, JSON.stringify(value)]);
    return encode(JSON.stringify(Object.fromEntries(texts)));
  });
}

export const TOKENIZER: Readonly<Record<string, Target>> = {
  tokenizer: {
    seeds: () => files("tokenizers/*.json"),
    read: (bytes) => useTokenizer(Tokenizer.parse(decode(bytes), "case")),
  },
  unigram: {
    seeds: unigrams,
    read: (bytes) => useTokenizer(Tokenizer.parse(decode(bytes), "case")),
  },
  charsmap: {
    seeds: charsMaps,
    read(bytes) {
      const map = readCharsMap(Buffer.from(bytes).toString("base64"), "case");
      for (const text of [TEXT, ...LONG]) map(text, 4 * text.length);
    },
  },
  // Bytes are the files of a folder by their names, in one object.
  "tokenizer folder": {
    seeds: async () => [...folders(), ...beside()],
    read(bytes) {
      const folder = readJson(decode(bytes), "case");
      if (!isObject(folder)) throw new UffbError("is not an object");
      const file: ModelFiles = (name) =>
        Object.hasOwn(folder, name) ? { text: String(folder[name]), source: name } : undefined;
      unknownKeys(file);
      const tokenizer = readTokenizer(file);
      if (tokenizer) useTokenizer(tokenizer);
      tokenizerTexts(file);
      reportKeys(file, new Set(["model_type"]));
    },
  },
};
