import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FIXTURES = fileURLToPath(new URL("../fixtures/", import.meta.url));
/** Of the reference model. */
const VOCABULARY = 512;

/** A folder with a small classifier of two labels that reads text: a reference model with as much of a tokenizer as it has words for. */
export function writeClassifier(folder: string): void {
  cpSync(`${FIXTURES}reference/cls-2`, folder, { recursive: true });
  const tokenizer = JSON.parse(readFileSync(`${FIXTURES}tokenizers/bert-accents.json`, "utf8"));
  const words = Object.entries<number>(tokenizer.model.vocab).filter(([, id]) => id < VOCABULARY);
  tokenizer.model.vocab = Object.fromEntries(words);
  writeFileSync(`${folder}/tokenizer.json`, JSON.stringify(tokenizer));
}
