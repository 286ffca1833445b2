/** What config_sentence_transformers.json says: texts that stand before others, and how vectors are compared. */
import { UffbError } from "../../base/errors.ts";
import { readJson } from "../../base/json.ts";
import { quoted } from "../../base/printable.ts";
import type { Checkpoint } from "../../files/checkpoint.ts";
import { PROMPTS_FILE } from "../../files/sentence.ts";
import { Section } from "../families/section.ts";

/** It stands before every text. */
const MAX_PROMPT = 10_000;
const MAX_PROMPTS = 1000;
const MAX_WIDTH = 2 ** 20;

export const SIMILARITIES = ["cosine", "dot", "euclidean", "manhattan"] as const;
export type Similarity = (typeof SIMILARITIES)[number];

export interface Prompts {
  /** By name, the texts. */
  named: Readonly<Record<string, string>>;
  /** What stands before each text unless another prompt is asked for; "" for nothing. */
  usual: string;
  /** How alike two vectors are. */
  similarity: Similarity;
  /** Numbers of each vector that are kept, the first ones; all when absent. */
  truncateDim?: number;
  /** Which of the library's classes wrote the file, where it says so. */
  modelType?: string;
  /** The path of the class that a cross-encoder's scores pass through, where it says so. */
  activation?: string;
}

/** Of a model without the file. */
export const PLAIN_PROMPTS: Prompts = { named: {}, usual: "", similarity: "cosine" };

/**
 * Reads the file; what it says without one when the model has none.
 *
 * @throws UffbError naming the key
 */
export function readPrompts(checkpoint: Checkpoint): Prompts {
  const file = checkpoint.file(PROMPTS_FILE);
  if (file === undefined) return PLAIN_PROMPTS;
  const config = new Section(readJson(file.text, file.source), file.source);
  const named = readNamed(config);
  const name = config.get("default_prompt_name");
  const usual = name === undefined ? "" : typeof name === "string" ? promptOf(named, name) : undefined;
  if (usual === undefined) throw config.bad("default_prompt_name", "prompts has no such text");
  const similarity = config.get("similarity_fn_name");
  const modelType = text(config, "model_type");
  const activation = text(config, "activation_fn");
  return {
    named,
    usual,
    // The library takes its default for one that it does not know, such as another kind of model's.
    similarity: SIMILARITIES.find((known) => known === similarity) ?? "cosine",
    ...(config.has("truncate_dim") && { truncateDim: config.size("truncate_dim", 1, MAX_WIDTH) }),
    ...(modelType !== undefined && { modelType }),
    ...(activation !== undefined && { activation }),
  };
}

function readNamed(config: Section): Record<string, string> {
  if (!config.has("prompts")) return {};
  const prompts = config.section("prompts");
  const names = prompts.keys();
  if (names.length > MAX_PROMPTS)
    throw new UffbError(`${PROMPTS_FILE}: has more than ${MAX_PROMPTS} prompts`);
  const named = names.map((name): [string, string] => {
    const prompt = prompts.get(name) ?? "";
    if (typeof prompt !== "string") throw prompts.bad(name, "a prompt must be a text");
    if (prompt.length > MAX_PROMPT)
      throw new UffbError(
        `${PROMPTS_FILE}: the prompt ${quoted(name)} has more than ${MAX_PROMPT} characters`,
      );
    return [name, prompt];
  });
  return Object.fromEntries(named);
}

function text(config: Section, key: string): string | undefined {
  const value = config.get(key);
  if (value !== undefined && typeof value !== "string") throw config.bad(key, "it must be a name");
  return value;
}

/** The names under which the library has an empty text unless the file says otherwise. */
const SIDES = ["query", "document"];

/** The text of this name; undefined where there is none. */
export function promptOf(named: Prompts["named"], name: string): string | undefined {
  return Object.hasOwn(named, name) ? named[name] : SIDES.includes(name) ? "" : undefined;
}
