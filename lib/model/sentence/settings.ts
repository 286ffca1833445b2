import { readObject } from "../../base/json.ts";
import type { Checkpoint } from "../../files/checkpoint.ts";
import { TRANSFORMER_FILES } from "../../files/sentence.ts";
import { Section } from "../families/section.ts";
import { TRANSFORMER } from "../keys/sentence.ts";
import { sortKeys } from "../keys/table.ts";
import { type Modules, readModules } from "./modules.ts";
import { type Prompts, readPrompts } from "./prompts.ts";

/** How a model of the sentence-transformers library makes vectors of texts. */
export interface SentenceSettings extends Modules, Prompts {
  /** Most tokens of a text; absent where only the model's own limit counts. */
  maxLength?: number;
  lowercase: boolean;
}

const MAX_TOKENS = 2 ** 24;

/** The library's class for models that make one vector of a text. */
const MODEL_TYPE = "SentenceTransformer";

/**
 * Reads what a folder of the library says; undefined for a model that has none, or one of another of its classes (a cross-encoder's), whose
 * encoder the library pools by its own default. `hidden` is the model's width.
 *
 * @throws UffbError naming file and key when the pipeline is one that is not supported
 */
export function readSentenceSettings(checkpoint: Checkpoint, hidden: number): SentenceSettings | undefined {
  const prompts = readPrompts(checkpoint);
  if ((prompts.modelType ?? MODEL_TYPE) !== MODEL_TYPE) return undefined;
  const modules = readModules(checkpoint, hidden);
  if (modules === undefined) return undefined;
  const own = TRANSFORMER_FILES.map((name) => readSection(checkpoint, name)).find((file) => file);
  const maxLength = own?.has("max_seq_length") ? own.size("max_seq_length", 1, MAX_TOKENS) : undefined;
  return {
    ...modules,
    ...prompts,
    ...(maxLength !== undefined && { maxLength }),
    lowercase: own?.flag("do_lower_case", false) ?? false,
  };
}

function readSection(checkpoint: Checkpoint, name: string): Section | undefined {
  const file = checkpoint.file(name);
  if (file === undefined) return undefined;
  const values = readObject(file.text, file.source);
  sortKeys(values, TRANSFORMER, file.source);
  // An empty file is none to the library.
  return Object.keys(values).length > 0 ? new Section(values, file.source) : undefined;
}
