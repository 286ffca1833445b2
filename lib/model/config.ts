import type { Arch } from "../../ffi/bindings.ts";
import { UffbError } from "../base/errors.ts";
import { isObject, readJson } from "../base/json.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { albert } from "./families/albert.ts";
import { bert } from "./families/bert.ts";
import { crammed } from "./families/crammed.ts";
import { distilbert } from "./families/distilbert.ts";
import { electra } from "./families/electra.ts";
import type { Family, Switch } from "./families/family.ts";
import { modernbert } from "./families/modernbert.ts";
import { mpnet } from "./families/mpnet.ts";
import { camembert, roberta, xlmRoberta } from "./families/roberta.ts";
import { Section } from "./families/section.ts";

/** A new kind of model is a file beside crammed.ts and an entry here. */
export const FAMILIES: readonly Family[] = [
  crammed,
  bert,
  roberta,
  distilbert,
  xlmRoberta,
  camembert,
  mpnet,
  electra,
  albert,
  modernbert,
];

/** The key of config.json that holds how many texts an input has. */
export const TEXTS_KEY = "texts_per_input";

/**
 * "embedding" has no head: the model gives final states only. Of a "multi-label" classifier's labels any number can be true. "tokens" gives
 * each token a label. "other" has a head that is not known here, beside an encoder that is.
 */
export type ModelTask =
  | "mlm"
  | "classification"
  | "multi-label"
  | "regression"
  | "tokens"
  | "embedding"
  | "other";

/** What config.json says; roles.ts then corrects it by what the tensors show. */
export interface Config {
  family: Family;
  arch: Arch;
  /** The id of the padding token, whose embedding is not trained where a text holds it. */
  padding?: number | undefined;
  /** Regression is a classification head with one output. */
  task: ModelTask;
  /** The class that its code has for it, where config.json names one. */
  architecture?: string;
  /** `problem_type` as it stands. */
  problem?: string;
  /** The path of the class that the scores of a cross-encoder of sentence-transformers pass through, where config.json names one. */
  scoreActivation?: string;
  /** The classes' names; [] for others than classifiers. */
  labels: readonly string[];
  /** `id2label` as it stands, by class number. */
  names: Readonly<Record<string, string>>;
  /** Texts that an input of a classifier has, where the config tells: 2 for one that compares two. */
  texts?: 1 | 2;
  switches: ReadonlySet<Switch>;
  mayTie: boolean;
  /** What the user should know of settings that are not followed. */
  warnings: readonly string[];
  /** The keys of the file that say something here. */
  keys: ReadonlySet<string>;
}

/** @throws UffbError when the checkpoint has no config.json or it is not one we can use */
export function loadConfig(checkpoint: Checkpoint): Config {
  const file = checkpoint.file("config.json");
  if (file === undefined) {
    throw new UffbError(
      `${checkpoint.source}: has no config.json, which says what its tensors mean; add the model's own`,
    );
  }
  return parseConfig(file.text, file.source);
}

/**
 * Reads a config.json. `source` is its name in messages.
 *
 * @throws UffbError naming the key and its value when a setting is impossible, unknown or not supported
 */
export function parseConfig(json: string, source: string): Config {
  const value = readJson(json, source);
  const config = new Section(value, source);
  const families = Object.fromEntries(FAMILIES.map((family) => [family.modelType, family]));
  const family = config.choice("model_type", families);
  const architecture = otherHead(config, family);
  // A head of another kind changes nothing before it.
  const encoder = architecture === undefined ? config : encoderAlone(value, source, family);
  const settings = family.read(encoder);
  const names = readNames(config);
  const { labels } = settings.arch;
  const classifies = isClassifier(config, family, labels);
  const problem = config.get("problem_type");
  if (classifies && problem === "regression" && labels > 1)
    throw config.bad("problem_type", "regression is supported with one output");
  const several = problem === "multi_label_classification";
  return {
    family,
    ...settings,
    task: classifies ? classifierTask(labels, several) : otherTask(config, family, architecture),
    ...(architecture !== undefined && { architecture }),
    ...(typeof problem === "string" && { problem }),
    ...readScoreActivation(config),
    labels: classifies ? nameLabels(names, labels) : [],
    names,
    ...(classifies && readTexts(config)),
    warnings: family.encoder && config.has("auto_map") ? [ownCode(source, family)] : [],
    keys: new Set([...encoder.readKeys(), ...config.readKeys(), "tokenizer_class"]),
  };
}

/** The class of a head that is none of a language model, a classifier of texts, or none at all. */
function otherHead(config: Section, { encoder, classifier }: Family): string | undefined {
  const architectures = config.get("architectures");
  if (encoder === undefined || !Array.isArray(architectures)) return undefined;
  const stem = encoder.replace(/Model$/, "");
  const known = [encoder, `${stem}ForMaskedLM`, `${stem}ForPreTraining`, classifier.architecture];
  const [first] = architectures;
  return typeof first === "string" && !architectures.some((name) => known.includes(name)) ? first : undefined;
}

function encoderAlone(value: unknown, source: string, { encoder }: Family): Section {
  return new Section({ ...(value as object), architectures: [encoder] }, source);
}

function otherTask(config: Section, family: Family, architecture: string | undefined): ModelTask {
  if (architecture === undefined) return isEncoder(config, family) ? "embedding" : "mlm";
  return architecture === family.tokenClassifier ? "tokens" : "other";
}

/** As versions 4 and 5 of sentence-transformers wrote it, and as older ones did. */
function readScoreActivation(config: Section): { scoreActivation?: string } {
  const inner = config.get("sentence_transformers");
  const own = isObject(inner) ? inner.activation_fn : undefined;
  const path = own ?? config.get("sbert_ce_default_activation_function");
  return typeof path === "string" ? { scoreActivation: path } : {};
}

/** GLUE tasks by the names that `transformers` gives them, and how many texts each has. */
const GLUE_TEXTS: Readonly<Record<string, 1 | 2>> = {
  ...{ cola: 1, sst2: 1, "sst-2": 1 },
  ...{ mrpc: 2, qqp: 2, stsb: 2, "sts-b": 2, mnli: 2, "mnli-mm": 2, qnli: 2, rte: 2, wnli: 2 },
};

/** From TEXTS_KEY, which this program writes, or from the task that `transformers` notes. */
function readTexts(config: Section): { texts?: 1 | 2 } {
  const own = config.get(TEXTS_KEY);
  if (own === 1 || own === 2) return { texts: own };
  const task = config.get("finetuning_task");
  const texts = typeof task === "string" ? GLUE_TEXTS[task.toLowerCase()] : undefined;
  return texts === undefined ? {} : { texts };
}

/** As `transformers` does, unless it is told to trust the code in the folder. */
function ownCode(source: string, { modelType }: Family): string {
  return `${source}: auto_map names code of the model's own, which is not run; it is taken for a plain ${modelType}`;
}

/** The architecture's class tells; of a family without classes for its heads, the number of labels. */
function isClassifier(config: Section, family: Family, labels: number): boolean {
  const architectures = config.get("architectures");
  if (architectures === undefined) return family.encoder === undefined && labels > 0;
  if (!Array.isArray(architectures)) throw config.bad("architectures", "it must be a list of names");
  return architectures.some((name) => typeof name === "string" && name.includes("SequenceClassification"));
}

function isEncoder(config: Section, { encoder }: Family): boolean {
  const architectures = config.get("architectures");
  return encoder !== undefined && Array.isArray(architectures) && architectures.includes(encoder);
}

/** What a classification head with so many outputs is for; `several` labels can be true at once where the config says so. */
export function classifierTask(labels: number, several: boolean): ModelTask {
  if (several) return "multi-label";
  return labels === 1 ? "regression" : "classification";
}

/** The names of classes 0 to count-1: those of `id2label`, or LABEL_0 and so on for those that it gives none (or null). */
export function nameLabels(names: Readonly<Record<string, string>>, count: number): string[] {
  return Array.from({ length: count }, (_, i) => names[i] ?? `LABEL_${i}`);
}

const MAX_NAME = 1000;

function readNames(config: Section): Record<string, string> {
  const names: Record<string, string> = {};
  const value = config.get("id2label") ?? {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw config.bad("id2label", "it must be an object of names");
  }
  for (const [id, name] of Object.entries(value as object)) {
    if (!/^\d{1,8}$/.test(id) || (typeof name === "object" && name !== null))
      throw config.bad("id2label", "it must map class numbers to names");
    if (name === null) continue;
    const text = String(name);
    // Each is printed for every text.
    if (text.length > MAX_NAME) throw config.bad("id2label", `a name has more than ${MAX_NAME} characters`);
    names[Number(id)] = text;
  }
  return names;
}
