/** The vocabularies of models from before there was a tokenizer.json: `vocab.txt` (BERT), or `vocab.json` and `merges.txt` (RoBERTa). */
import { UffbError } from "../../base/errors.ts";
import { type JsonObject, readObject } from "../../base/json.ts";
import type { ModelFile, ModelFiles } from "../../files/folder.ts";
import type { TokenizerClass } from "./class.ts";

/** The vocabulary's first file, if there is one. */
export function findVocabulary(file: ModelFiles): ModelFile | undefined {
  return file("vocab.txt") ?? (file("merges.txt") && file("vocab.json"));
}

/**
 * What a tokenizer.json's model would hold: `vocab`, and for BPE `merges`.
 *
 * @throws UffbError when a file is missing or damaged
 */
export function readVocabulary(kind: TokenizerClass, file: ModelFiles, found: ModelFile): JsonObject {
  const need = (name: string): ModelFile => {
    const one = file(name);
    if (one === undefined) throw new UffbError(`${found.source}: has no ${name} beside it, which it needs`);
    return one;
  };
  if (kind.model === "WordPiece") return { vocab: readLines(need("vocab.txt").text) };
  const vocab = need("vocab.json");
  return { vocab: readObject(vocab.text, vocab.source), merges: readMerges(need("merges.txt")) };
}

/** A token a line, whose number is its id; of one that is there twice the last. Space at the end of a line is none of the token's. */
function readLines(text: string): Record<string, number> {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return Object.fromEntries(lines.map((line, id) => [line.replace(/\p{White_Space}+$/u, ""), id]));
}

function readMerges({ text, source }: ModelFile): string[][] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines
    .filter((line) => !line.startsWith("#version"))
    .map((line, i) => {
      const pair = line.split(" ");
      if (pair.length !== 2)
        throw new UffbError(`${source}: merge ${i + 1} is not two tokens with a space between`);
      return pair;
    });
}
