/** What the keys of a tokenizer's files do, in `transformers` 5.24 and here. */
import { isObject } from "../../base/json.ts";
import { type KeyTable, rules } from "./table.ts";

const SPECIALS = "bos_token eos_token unk_token sep_token pad_token cls_token mask_token";

/** A token with a role of its own, such as `entity_token`. */
const isToken = (key: string, value: unknown) =>
  key.endsWith("_token") && (typeof value === "string" || (isObject(value) && "content" in value));

const SAVED = { nothing: "tells where or by what it was saved" };
const PADDING = { nothing: "texts are not padded" };
const CALLER = { nothing: "each call of the library says so anew" };
const OLD = { nothing: "the library's tokenizers of today have no such switch" };

export const TOKENIZER_CONFIG: KeyTable = {
  keys: {
    ...rules(
      `tokenizer_class model_max_length max_len truncation_side model_input_names split_special_tokens ${SPECIALS}`,
      "read",
    ),
    ...rules(
      "additional_special_tokens extra_special_tokens model_specific_special_tokens added_tokens_decoder",
      "read",
    ),
    ...rules("do_lower_case strip_accents tokenize_chinese_chars add_prefix_space keep_accents", "read"),
    ...rules(
      "clean_up_tokenization_spaces clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output errors",
      {
        nothing: "is for turning ids into text",
      },
    ),
    ...rules("trim_offsets", { nothing: "is for places in the text" }),
    ...rules("padding_side padding pad_token_type_id pad_to_multiple_of", PADDING),
    ...rules("max_length stride truncation truncation_strategy return_tensors return_token_type_ids", CALLER),
    ...rules("add_bos_token add_eos_token", {
      nothing: "the library drops it where there is a tokenizer.json",
    }),
    ...rules("chat_template response_template response_schema chat_control_tokens", {
      nothing: "is for conversations",
    }),
    ...rules("auto_map trust_remote_code", {
      nothing: "code of the model's own is not run, as in the library unless told to",
    }),
    ...rules(
      "name_or_path tokenizer_file vocab_file merges_file spm_file special_tokens_map_file full_tokenizer_file tokenizer_type processor_class device_map " +
        "is_local local_files_only backend files_loaded verbose use_fast from_slow slow_tokenizer_class transformers_version tokenizer_version _commit_hash " +
        "_name_or_path subfolder revision model_type",
      SAVED,
    ),
    ...rules(
      "do_basic_tokenize never_split basic_tokenizer wordpiece_tokenizer wordpieces_prefix max_input_chars_per_word clean_text sp_model_kwargs legacy " +
        "do_word_tokenize do_subword_tokenize use_token_type_ids fix_mistral_regex unk_id suffix prefix",
      OLD,
    ),
    ...rules("vocab merges", { nothing: "those of the vocabulary's own file win" }),
    fast_tokenizer_files: { refused: "only tokenizer.json is supported", unless: [["tokenizer.json"], []] },
    init_inputs: { refused: "arguments without names are not supported", unless: [[]] },
    ...rules(
      "post_processor tokenizer_object tokenizer_padding tokenizer_truncation gguf_file _json_padding _json_truncation _spm_precompiled_charsmap",
      { refused: "the library would take a part of the tokenizer from here", unless: [] },
    ),
  },
  also: isToken,
  others: { nothing: "the library knows no such key" },
};

/** The library takes every other key for one of tokenizer_config.json. */
export const SPECIAL_TOKENS_MAP: KeyTable = {
  keys: rules(`additional_special_tokens extra_special_tokens ${SPECIALS}`, "read"),
  also: isToken,
  others: "refused",
};

/** Token -> id. */
export const ADDED_TOKENS: KeyTable = { keys: {}, also: () => true, others: "refused" };
