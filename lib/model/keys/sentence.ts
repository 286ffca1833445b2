/** What the keys of a sentence-transformers folder do, in version 6.2 of the library and here. */
import { type KeyTable, rules } from "./table.ts";

const PLAIN = { text: { method: "forward", method_output_name: "last_hidden_state" } };

/** sentence_bert_config.json and its kin: the settings of the text model. The library refuses keys that it does not know. */
export const TRANSFORMER: KeyTable = {
  keys: {
    ...rules("max_seq_length do_lower_case", "read"),
    unpad_inputs: { nothing: "texts are not padded" },
    transformer_task: { refused: "only models of features are supported", unless: ["feature-extraction"] },
    modality_config: { refused: "only the final states of a text model are supported", unless: [PLAIN] },
    module_output_name: { refused: "only token_embeddings is supported", unless: ["token_embeddings"] },
    ...rules(
      "processing_kwargs model_args model_kwargs tokenizer_args processor_kwargs config_args config_kwargs",
      {
        refused: "arguments for the library's calls are not supported",
        unless: [{}],
      },
    ),
    ...rules("query_length document_length query_expansion", {
      refused: "limits for queries and documents of their own are not supported",
      unless: [],
    }),
    tokenizer_name_or_path: { refused: "a tokenizer of another model is not supported", unless: [] },
  },
  others: "refused",
};

const LOGITS = { text: { method: "forward", method_output_name: "logits" } };

/** The same of a cross-encoder, whose text model gives scores. */
export const CROSS_TRANSFORMER: KeyTable = {
  ...TRANSFORMER,
  keys: {
    ...TRANSFORMER.keys,
    transformer_task: { refused: "only classifiers are supported", unless: ["sequence-classification"] },
    modality_config: { refused: "only the logits of a classifier are supported", unless: [LOGITS] },
    module_output_name: { refused: "only scores is supported", unless: ["scores"] },
  },
};

/** config_sentence_transformers.json */
export const MODEL: KeyTable = {
  keys: {
    ...rules("prompts default_prompt_name similarity_fn_name truncate_dim model_type activation_fn", "read"),
    __version__: { nothing: "tells what it was saved by; the result is that of version 6.2 whatever it was" },
    keep_in_fp32_modules: { nothing: "the arithmetic is f32 everywhere" },
    requirements: { nothing: "tells which programs its author had" },
  },
  others: { nothing: "the library knows no such key" },
};

/** An entry of modules.json. */
export const MODULE: KeyTable = {
  keys: {
    ...rules("path type", "read"),
    ...rules("idx name", { nothing: "modules run in the order of the list" }),
    kwargs: { nothing: "names arguments that no call here gives" },
  },
  others: { nothing: "the library knows no such key" },
};

const POOLING: KeyTable = {
  keys: {
    ...rules("pooling_mode include_prompt", "read"),
    ...rules(
      "pooling_mode_cls_token pooling_mode_max_tokens pooling_mode_mean_tokens pooling_mode_mean_sqrt_len_tokens " +
        "pooling_mode_weightedmean_tokens pooling_mode_lasttoken",
      "read",
    ),
    ...rules("embedding_dimension word_embedding_dimension", {
      nothing: "the model's width follows from the model",
    }),
  },
  others: "refused",
};

const NAMES = rules("module_input_name module_output_name", "read");

/** A module's config.json, by the last word of its type. */
export const OF_MODULE: Readonly<Record<string, KeyTable>> = {
  Pooling: POOLING,
  Normalize: { keys: NAMES, others: { nothing: "the library knows no such key" } },
  Dense: {
    keys: { ...rules("in_features out_features bias activation_function use_residual", "read"), ...NAMES },
    others: { nothing: "the library knows no such key" },
  },
  LayerNorm: { keys: rules("dimension", "read"), others: "refused" },
  Dropout: { keys: rules("dropout", { nothing: "is for training" }), others: "refused" },
};
