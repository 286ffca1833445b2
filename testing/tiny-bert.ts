/** A small BERT with random weights and the built-in model's tokenizer, as a folder. */
import { UFFB_HEAD_CLASS } from "../ffi/bindings.ts";
import { NativeTrainer } from "../ffi/train.ts";
import { Random } from "../lib/base/random.ts";
import { openBuiltin } from "../lib/files/builtin.ts";
import { parseConfig } from "../lib/model/config.ts";
import { saveModel } from "../lib/train/save.ts";

export interface TinyBert {
  layers?: number;
  width?: number;
  /** Other feedforward layers than a dense one of `width`, as config.json has them. */
  feedforward?: string;
  hidden?: number;
  heads?: number;
  /** Of a classifier; absent for an encoder, which makes sentence vectors. */
  labels?: readonly string[];
  /** Changes a weight before it is set. */
  change?(name: string, weight: Float32Array): void;
}

/** Weights are large, so that texts differ in what comes of them. */
const DEVIATION = 0.15;

export async function writeTinyBert(
  path: string,
  { layers = 3, width = 48, feedforward, hidden = 32, heads: count = 2, labels, change }: TinyBert = {},
): Promise<void> {
  const builtin = openBuiltin();
  const text = JSON.stringify({
    model_type: "bert",
    architectures: [labels ? "BertForSequenceClassification" : "BertModel"],
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: count,
    ...(feedforward === undefined ? { intermediate_size: width } : { feedforward, intermediate_size: null }),
    hidden_act: "gelu",
    vocab_size: 8192,
    max_position_embeddings: 64,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
    ...(labels && { id2label: Object.fromEntries(labels.entries()) }),
  });
  const config = parseConfig(text, "tiny BERT");
  const heads = labels
    ? { headsPresent: UFFB_HEAD_CLASS, labels: labels.length }
    : { headsPresent: 0, labels: 0 };
  using trainer = new NativeTrainer({ ...config.arch, ...heads });
  for (const { name, rows, cols, required, constant } of trainer.parameters()) {
    if (constant || !(required || name.endsWith("bias") || /^embed\.type|^head\.pool/.test(name))) continue;
    const weight = new Random(7, name).normal(rows * cols, DEVIATION);
    if (/norm\d?\.weight$/.test(name)) for (const i of weight.keys()) weight[i]! += 1;
    change?.(name, weight);
    trainer.set(name, weight);
  }
  const files = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];
  await saveModel(
    path,
    trainer,
    { ...config, arch: { ...config.arch, ...heads } },
    {
      "config.json": text,
      ...Object.fromEntries(
        files.flatMap((name) => [[name, builtin.file(name)?.text]]).filter(([, found]) => found),
      ),
    },
  );
}
