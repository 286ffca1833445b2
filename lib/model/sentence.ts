import type { Pooling } from "../../ffi/context.ts";
import { UffbError } from "../base/errors.ts";
import { readJson } from "../base/json.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { MODULES_FILE, POOLING_FILE, PROMPTS_FILE, TRANSFORMER_FILES } from "../files/sentence.ts";
import { Section } from "./families/section.ts";

/** How a model makes vectors of texts. */
export interface SentenceSettings {
  pooling: Pooling;
  /** Scale each vector to length 1. */
  normalise: boolean;
  /** Most tokens of a text; absent where only the model's own limit counts. */
  maxLength?: number;
  lowercase: boolean;
  /** What stands before each text. */
  prompt: string;
}

const POOLINGS: Record<string, Pooling> = {
  pooling_mode_cls_token: "first",
  pooling_mode_mean_tokens: "mean",
  pooling_mode_max_tokens: "max",
};

const MAX_TOKENS = 2 ** 24;
/** It stands before every text. */
const MAX_PROMPT = 10_000;

/**
 * Reads what a folder of the sentence-transformers library says; undefined for a model that has none. `hidden` is the model's width.
 *
 * @throws UffbError naming file and key when the pipeline is one that is not supported
 */
export function readSentenceSettings(checkpoint: Checkpoint, hidden: number): SentenceSettings | undefined {
  const modules = readFile(checkpoint, MODULES_FILE);
  if (modules === undefined) return undefined;
  const normalise = readModules(modules.value, modules.source);
  const own = TRANSFORMER_FILES.map((name) => readSection(checkpoint, name)).find((file) => file);
  const maxLength = own?.has("max_seq_length") ? own.size("max_seq_length", 1, MAX_TOKENS) : undefined;
  return {
    pooling: readPooling(checkpoint, hidden),
    normalise,
    ...(maxLength !== undefined && { maxLength }),
    lowercase: own?.flag("do_lower_case", false) ?? false,
    prompt: readPrompt(checkpoint),
  };
}

/** Checks that the modules are a text model, a pooling and perhaps a normalisation; returns whether there is the last. */
function readModules(value: unknown, source: string): boolean {
  const kinds = Array.isArray(value)
    ? value.map((module, i) => {
        const section = new Section(module, source, `module ${i}.`);
        const type = section.get("type");
        // "sentence_transformers.models.Pooling", in newer versions with a file's name before it.
        return {
          section,
          kind: typeof type === "string" ? type.split(".").at(-1)! : "",
          path: section.get("path"),
        };
      })
    : [];
  const paths = ["", "1_Pooling"];
  const expected = ["Transformer", "Pooling", "Normalize"];
  for (const [i, { section, kind, path }] of kinds.entries()) {
    if (kind !== expected[i])
      throw section.bad("type", `supported: ${expected.join(", then ")}, and nothing else`);
    if (paths[i] !== undefined && path !== paths[i])
      throw section.bad("path", `only ${JSON.stringify(paths[i])} is supported`);
  }
  if (kinds.length < 2) throw new UffbError(`${source}: does not list a text model and its pooling`);
  return kinds.length === 3;
}

function readPooling(checkpoint: Checkpoint, hidden: number): Pooling {
  const config = readSection(checkpoint, POOLING_FILE);
  if (config === undefined) {
    throw new UffbError(
      `${checkpoint.source}: has no ${POOLING_FILE}, which its ${MODULES_FILE} names; add it, or give --pooling`,
    );
  }
  for (const key of ["word_embedding_dimension", "embedding_dimension"]) config.only(key, hidden);
  config.only("include_prompt", true);
  const modes = config.keys().filter((key) => key.startsWith("pooling_mode_") && config.flag(key, false));
  const [mode] = modes;
  if (mode === undefined) throw new UffbError(`${POOLING_FILE}: names no pooling`);
  const pooling = modes.length === 1 ? POOLINGS[mode] : undefined;
  if (pooling === undefined)
    throw config.bad(modes.at(-1)!, `supported: one of ${Object.keys(POOLINGS).join(", ")}`);
  return pooling;
}

function readPrompt(checkpoint: Checkpoint): string {
  const config = readSection(checkpoint, PROMPTS_FILE);
  const name = config?.get("default_prompt_name");
  if (config === undefined || name === undefined) return "";
  const prompts = config.section("prompts");
  const prompt = typeof name === "string" ? prompts.get(name) : undefined;
  if (typeof prompt !== "string") throw config.bad("default_prompt_name", "prompts has no such text");
  if (prompt.length > MAX_PROMPT)
    throw new UffbError(`${PROMPTS_FILE}: the prompt has more than ${MAX_PROMPT} characters`);
  return prompt;
}

function readSection(checkpoint: Checkpoint, name: string): Section | undefined {
  const file = readFile(checkpoint, name);
  return file && new Section(file.value, file.source);
}

function readFile(checkpoint: Checkpoint, name: string): { value: unknown; source: string } | undefined {
  const file = checkpoint.file(name);
  return file && { value: readJson(file.text, file.source), source: file.source };
}

/** A text as the library gives it to its tokenizer. */
export function sentenceText(text: string, { prompt, lowercase }: SentenceSettings): string {
  const whole = (prompt + text).trim();
  return lowercase ? whole.toLowerCase() : whole;
}
