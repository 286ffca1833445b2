/** The result of a run: a folder as Hugging Face writes it, which the model's own code loads, too. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { UFFB_F32, UFFB_WEIGHT } from "../../ffi/bindings.ts";
import { matrixBytes } from "../../ffi/matrix.ts";
import type { NativeTrainer, Parameter } from "../../ffi/train.ts";
import { isObject, type JsonObject, readObject } from "../base/json.ts";
import { makeWhole } from "../base/write.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { MODEL_FILES } from "../files/packed.ts";
import { type TensorSource, writeSafetensors } from "../files/safetensors/write.ts";
import { SENTENCE_FILES } from "../files/sentence.ts";
import { type Config, TEXTS_KEY } from "../model/config.ts";
import { takePart } from "../model/interleave.ts";
import { storedForms } from "../model/roles.ts";

/** Files of the start that a classifier has, too: not what makes sentence vectors of it. */
const KEPT = MODEL_FILES.filter((name) => name !== "config.json" && !SENTENCE_FILES.includes(name));

/** What `transformers` calls the kinds of heads. */
const PROBLEMS: Partial<Record<Config["task"], string>> = {
  classification: "single_label_classification",
  "multi-label": "multi_label_classification",
  regression: "regression",
};

/**
 * Writes a trained classifier: config.json, model.safetensors (f32, by the names of the model's own code), the tokenizer, and `others`, files
 * by name. The folder appears when it is complete. @throws UffbError when it is there already or cannot be written
 */
export function saveClassifier(
  path: string,
  trainer: NativeTrainer,
  config: Config,
  start: Checkpoint,
  others: Readonly<Record<string, string>>,
): Promise<void> {
  const files: Record<string, string> = { "config.json": classifierConfig(config, start), ...others };
  for (const name of KEPT) {
    const text = start.file(name)?.text;
    if (text !== undefined) files[name] = text;
  }
  return saveModel(path, trainer, config, files);
}

/**
 * Writes a trained model: model.safetensors (f32, by the names of the model's own code, a tied decoder included) and `files` by name. The
 * folder appears when it is complete. @throws UffbError when it is there already or cannot be written
 */
export function saveModel(
  path: string,
  trainer: NativeTrainer,
  config: Config,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  return makeWhole(path, async (temporary) => {
    mkdirSync(temporary);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(temporary, name)), { recursive: true });
      writeFileSync(join(temporary, name), text);
    }
    await writeSafetensors(join(temporary, "model.safetensors"), { format: "pt" }, tensors(trainer, config));
  });
}

/** The start's config.json with another head. */
export function classifierConfig(
  { family, task, labels, arch, texts }: Pick<Config, "family" | "task" | "labels" | "arch" | "texts">,
  start: Pick<Checkpoint, "file">,
): string {
  const file = start.file("config.json")!;
  const config = readObject(file.text, file.source);
  const names = labels.length > 0 ? labels : ["LABEL_0"];
  const { architecture, counts = [] } = family.classifier;
  const dtype = "dtype" in config ? "dtype" : "torch_dtype";
  const { _name_or_path: _, finetuning_task: __, [TEXTS_KEY]: ___, ...rest } = config;
  const changed: JsonObject = {
    ...rest,
    architectures: [architecture],
    id2label: Object.fromEntries(names.entries()),
    label2id: Object.fromEntries(names.map((name, i) => [name, i])),
    problem_type: PROBLEMS[task],
    ...(texts !== undefined && { [TEXTS_KEY]: texts }),
    [dtype]: "float32",
  };
  for (const path of counts) setAt(changed, path, arch.labels);
  return `${JSON.stringify(changed, null, 2)}\n`;
}

/** Sets a value in objects within objects, whose keys are a path; those on the way are copied. */
export function setAt(object: JsonObject, [key, ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) object[key!] = value;
  else {
    const inner = object[key!];
    object[key!] = isObject(inner) ? { ...inner } : {};
    setAt(object[key!] as JsonObject, rest, value);
  }
}

/** The value at a path of keys, or undefined. */
export function valueAt(object: JsonObject, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => (isObject(inner) ? inner[key] : undefined), object);
}

/** Bytes of a copy that is freed at once: garbage of this size would grow to a multiple of it. */
const LARGE = 8 << 20;

function tensors(trainer: NativeTrainer, config: Config): TensorSource[] {
  const stored = (parameter: Parameter, engineName: string): TensorSource[] =>
    storedForms(config, { ...parameter, name: engineName }).map(({ layout, share, ...tensor }) => {
      function* whole() {
        const { buffer, byteOffset, byteLength } = trainer.get(parameter.name, UFFB_WEIGHT, layout);
        yield new Uint8Array(buffer, byteOffset, byteLength);
        if (byteLength > LARGE) Bun.gc(true);
      }
      const { rows, cols } = parameter;
      const data = () => (share ? takePart(whole(), share, { rows, cols, dtype: "F32" }) : whole());
      return { ...tensor, dtype: "F32", data };
    });
  const own = trainer.parameters().filter(({ present }) => present);
  const weights = own.flatMap((parameter) => stored(parameter, parameter.name));
  const word = own.find(({ name }) => name === "embed.word");
  if (config.arch.tied && word) weights.push(...stored(word, "head.mlm.decoder.weight"));
  const buffers = config.family.buffers?.(config.arch) ?? [];
  return [...weights, ...buffers.map(({ data, ...buffer }) => ({ ...buffer, data: () => [data] }))];
}

/** Bytes that the folder takes, but for its small files and a tied decoder. */
export function savedBytes(trainer: NativeTrainer): number {
  return trainer
    .parameters()
    .filter(({ present }) => present)
    .reduce((sum, { rows, cols, layout }) => sum + matrixBytes(rows, cols, { dtype: UFFB_F32, layout }), 0);
}
