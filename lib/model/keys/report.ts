import { isObject, readJson, readObject, tryJson } from "../../base/json.ts";
import { quoted } from "../../base/printable.ts";
import type { ModelFiles } from "../../files/folder.ts";
import {
  MODULE_FOLDER,
  MODULES_FILE,
  moduleConfig,
  PROMPTS_FILE,
  TRANSFORMER_FILES,
} from "../../files/sentence.ts";
import { ADDED_FILE, SETTINGS_FILE, SPECIALS_FILE } from "../../files/tokenizer.ts";
import { CONFIG } from "./config.ts";
import { CROSS_TRANSFORMER, MODEL, MODULE, OF_MODULE, TRANSFORMER } from "./sentence.ts";
import { type KeyReport, type KeyTable, sortKeys } from "./table.ts";
import { ADDED_TOKENS, SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG } from "./tokenizer.ts";

/** Files of settings beside a model, which are objects. */
export const FILES: Readonly<Record<string, KeyTable>> = {
  [SETTINGS_FILE]: TOKENIZER_CONFIG,
  [SPECIALS_FILE]: SPECIAL_TOKENS_MAP,
  [ADDED_FILE]: ADDED_TOKENS,
  [PROMPTS_FILE]: MODEL,
  ...Object.fromEntries(TRANSFORMER_FILES.map((name) => [name, TRANSFORMER])),
};

/** Files that change no result, and why. */
export const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  "generation_config.json": "is for generating text",
  "preprocessor_config.json": "is for images and sounds",
  "processor_config.json": "is for images and sounds",
  "video_preprocessor_config.json": "is for images and sounds",
  "chat_template.jinja": "is for conversations",
  "chat_template.json": "is for conversations",
};

/**
 * What was read from which of a model's files, and what not. `config` are the keys of config.json that the model's family read.
 *
 * @throws UffbError naming a key that is refused
 */
export function reportKeys(file: ModelFiles, config: ReadonlySet<string>): KeyReport[] {
  const reports: KeyReport[] = [];
  const add = (name: string, table: KeyTable) => {
    const found = file(name);
    if (found)
      reports.push({ ...sortKeys(readObject(found.text, found.source), table, found.source), source: name });
  };
  const known = Object.fromEntries([...config].map((key) => [key, "read" as const]));
  add("config.json", { keys: { ...CONFIG, ...known }, others: { nothing: "" } });
  const crosses = isCrossEncoder(file);
  for (const [name, table] of Object.entries(FILES))
    add(name, crosses && table === TRANSFORMER ? CROSS_TRANSFORMER : table);
  const modules = file(MODULES_FILE);
  const entries = modules ? readJson(modules.text, modules.source) : [];
  const modulesReport: KeyReport = { source: MODULES_FILE, read: [], nothing: [], unknown: [] };
  if (modules) reports.push(modulesReport);
  for (const entry of Array.isArray(entries) ? entries.filter(isObject) : []) {
    const { read, nothing, unknown } = sortKeys(entry, MODULE, modules!.source);
    modulesReport.read = [...new Set([...modulesReport.read, ...read])];
    modulesReport.unknown = [...new Set([...modulesReport.unknown, ...unknown])];
    const listed = new Set(modulesReport.nothing.map(({ key }) => key));
    modulesReport.nothing.push(...nothing.filter(({ key }) => !listed.has(key)));
    const kind = typeof entry.type === "string" ? entry.type.split(".").at(-1)! : "";
    const folder = typeof entry.path === "string" ? entry.path : "";
    const table = Object.hasOwn(OF_MODULE, kind) ? OF_MODULE[kind] : undefined;
    if (table && MODULE_FOLDER.test(folder)) add(moduleConfig(folder), table);
  }
  for (const [name, why] of Object.entries(WITHOUT_EFFECT)) {
    if (file(name)) reports.push({ source: name, read: [], nothing: [{ key: "", why }], unknown: [] });
  }
  return reports;
}

function isCrossEncoder(file: ModelFiles): boolean {
  const found = file(PROMPTS_FILE);
  return found !== undefined && readObject(found.text, found.source).model_type === "CrossEncoder";
}

/** A warning for each file with keys that the library which reads it does not know. */
export function unknownKeys(file: ModelFiles): string[] {
  return Object.entries(FILES).flatMap(([name, { keys, also, others }]) => {
    const found = others === "refused" ? undefined : file(name);
    const parsed = found && tryJson(found.text);
    if (!parsed || !("value" in parsed) || !isObject(parsed.value)) return [];
    const unknown = Object.entries(parsed.value).filter(
      ([key, value]) => !Object.hasOwn(keys, key) && !also?.(key, value),
    );
    if (unknown.length === 0) return [];
    const names = unknown.slice(0, MAX_NAMED).map(([key]) => quoted(key));
    const more = unknown.length > MAX_NAMED ? ` and ${unknown.length - MAX_NAMED} more` : "";
    return [
      `${found!.source}: no effect of what the library that reads it does not know: ${names.join(", ")}${more}`,
    ];
  });
}

const MAX_NAMED = 10;
