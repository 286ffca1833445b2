import { isObject, tryJson } from "../base/json.ts";
import type { ModelFiles } from "./folder.ts";

/** Settings of the text model inside, one name for each kind of model; the file says how long a text can be. */
export const TRANSFORMER_FILES = [
  "sentence_bert_config.json",
  "sentence_roberta_config.json",
  "sentence_distilbert_config.json",
  "sentence_camembert_config.json",
  "sentence_albert_config.json",
  "sentence_xlm-roberta_config.json",
  "sentence_xlnet_config.json",
];

export const MODULES_FILE = "modules.json";
export const PROMPTS_FILE = "config_sentence_transformers.json";

/** What the sentence-transformers library keeps beside a model, and a packed file carries, besides a folder for each module. */
export const SENTENCE_FILES = [MODULES_FILE, PROMPTS_FILE, ...TRANSFORMER_FILES];

/** A module's folder, such as 2_Dense. No other name is followed: it could lead out of the model's folder. */
export const MODULE_FOLDER = /^\w[\w.-]{0,99}$/;

/** Most modules of a model; those in use have five. */
export const MAX_MODULES = 32;

export const moduleConfig = (folder: string) => `${folder}/config.json`;

/** Whether a packed file's entry of this name is a module's config.json, or one of its tensors. */
export const isModuleConfig = (name: string) => name.endsWith("/config.json") && isOfModule(name);
export const isModuleTensor = (name: string) => !name.endsWith("/config.json") && isOfModule(name);

function isOfModule(name: string): boolean {
  const slash = name.indexOf("/");
  return slash > 0 && MODULE_FOLDER.test(name.slice(0, slash));
}

/** The folders of a model's modules, in their order; the text model itself has none. What else modules.json says is not checked here. */
export function moduleFolders(file: ModelFiles): string[] {
  const found = file(MODULES_FILE);
  const parsed = found && tryJson(found.text);
  if (!parsed || !("value" in parsed) || !Array.isArray(parsed.value)) return [];
  const folders = parsed.value.map((module) => (isObject(module) ? module.path : undefined));
  const named = folders.filter((folder) => typeof folder === "string" && MODULE_FOLDER.test(folder));
  return [...new Set(named as string[])].slice(0, MAX_MODULES);
}
