/** Settings of the text model inside, one name for each kind of model; the file says how long a text can be. */
export const TRANSFORMER_FILES = [
  "sentence_bert_config.json",
  "sentence_roberta_config.json",
  "sentence_distilbert_config.json",
];

export const MODULES_FILE = "modules.json";
export const POOLING_FILE = "1_Pooling/config.json";
export const PROMPTS_FILE = "config_sentence_transformers.json";

/** What the sentence-transformers library keeps beside a model, and a packed file carries. */
export const SENTENCE_FILES = [MODULES_FILE, POOLING_FILE, PROMPTS_FILE, ...TRANSFORMER_FILES];
