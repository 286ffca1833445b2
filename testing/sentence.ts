/** A small sentence-transformers folder for tests. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Json, type TemporaryFolder, type Tensors, writeModel } from "./folders.ts";

const TOKENIZER = fileURLToPath(new URL("../fixtures/tokenizer-8k/tokenizer.json", import.meta.url));

const HIDDEN = 32;
const CONFIG = {
  model_type: "bert",
  architectures: ["BertModel"],
  hidden_size: HIDDEN,
  hidden_act: "gelu",
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 48,
  max_position_embeddings: 64,
  type_vocab_size: 2,
  vocab_size: 8192,
};

/** Its files of JSON; a test changes or deletes them. */
export function sentenceFiles(): Record<string, Json> {
  const types = ["Transformer", "Pooling", "Normalize"];
  return {
    "modules.json": types.map((type, idx) => ({
      idx,
      name: String(idx),
      path: idx === 0 ? "" : `${idx}_${type}`,
      type: `sentence_transformers.models.${type}`,
    })),
    "1_Pooling/config.json": {
      word_embedding_dimension: HIDDEN,
      pooling_mode_cls_token: false,
      pooling_mode_mean_tokens: true,
      pooling_mode_max_tokens: false,
      pooling_mode_mean_sqrt_len_tokens: false,
    },
    "sentence_bert_config.json": { max_seq_length: 12, do_lower_case: false },
    "config_sentence_transformers.json": { __version__: {} },
    "tokenizer_config.json": { tokenizer_class: "PreTrainedTokenizerFast" },
  };
}

/** Writes a BERT with made-up weights, the 8k tokenizer, and `files`. */
export function writeSentenceModel(folder: TemporaryFolder, files = sentenceFiles()): string {
  const tensors: Tensors = new Map();
  const add = (name: string, ...shape: number[]) => {
    const seed = tensors.size + 1.3;
    const isNorm = name.endsWith("LayerNorm.weight");
    const size = shape.reduce((a, b) => a * b);
    const values = Float32Array.from({ length: size }, (_, i) =>
      isNorm ? 1 : 0.2 * Math.sin((i + 1) * seed * 12.9898),
    );
    tensors.set(name, { dtype: "F32", shape, data: new Uint8Array(values.buffer) });
  };
  const linear = (name: string, rows: number, cols: number) => {
    add(`${name}.weight`, rows, cols);
    add(`${name}.bias`, rows);
  };
  const norm = (name: string) => {
    add(`${name}.weight`, HIDDEN);
    add(`${name}.bias`, HIDDEN);
  };
  add("embeddings.word_embeddings.weight", 8192, HIDDEN);
  add("embeddings.position_embeddings.weight", 64, HIDDEN);
  add("embeddings.token_type_embeddings.weight", 2, HIDDEN);
  norm("embeddings.LayerNorm");
  const layer = "encoder.layer.0";
  for (const part of ["query", "key", "value"]) linear(`${layer}.attention.self.${part}`, HIDDEN, HIDDEN);
  linear(`${layer}.attention.output.dense`, HIDDEN, HIDDEN);
  norm(`${layer}.attention.output.LayerNorm`);
  linear(`${layer}.intermediate.dense`, 48, HIDDEN);
  linear(`${layer}.output.dense`, HIDDEN, 48);
  norm(`${layer}.output.LayerNorm`);
  mkdirSync(folder.file("1_Pooling"));
  copyFileSync(TOKENIZER, folder.file("tokenizer.json"));
  for (const [name, value] of Object.entries(files)) writeFileSync(folder.file(name), JSON.stringify(value));
  return writeModel(folder, { config: CONFIG, tensors });
}
