/** What a tokenizer's files are called. */
export const TOKENIZER_FILE = "tokenizer.json";
export const SETTINGS_FILE = "tokenizer_config.json";
export const SPECIALS_FILE = "special_tokens_map.json";
export const ADDED_FILE = "added_tokens.json";

export const TOKENIZER_FILES = [TOKENIZER_FILE, SETTINGS_FILE, SPECIALS_FILE, ADDED_FILE];
