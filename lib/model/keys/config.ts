/** Keys of config.json that no family reads. The code of `transformers` takes no notice of any that is not here either. */
import { type Rule, rules } from "./table.ts";

export const CONFIG: Readonly<Record<string, Rule>> = {
  ...rules(
    "attention_dropout attention_probs_dropout_prob classifier_dropout classifier_dropout_prob dropout hidden_dropout_prob qa_dropout seq_classif_dropout " +
      "embedding_dropout mlp_dropout classifier_dropout_rate initializer_range initializer_factor initializer_cutoff_factor gradient_checkpointing sinusoidal_pos_embds",
    { nothing: "is for training" },
  ),
  ...rules("_name_or_path transformers_version _commit_hash finetuning_task language name_or_path", {
    nothing: "tells where or by what it was saved",
  }),
  ...rules("torch_dtype dtype", { nothing: "the arithmetic is f32, whatever the weights were saved in" }),
  ...rules(
    "attn_implementation _attn_implementation _attn_implementation_autoset use_flash_attn chunk_size_feed_forward torchscript use_bfloat16 fp16",
    {
      nothing: "is another way to the same result",
    },
  ),
  ...rules("output_attentions output_hidden_states return_dict use_return_dict", {
    nothing: "is what the library returns",
  }),
  ...rules(
    "bos_token_id eos_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id pad_token_id",
    {
      nothing: "ids come from the tokenizer, and texts are not padded",
    },
  ),
  ...rules(
    "use_cache cross_attention_hidden_size task_specific_params prefix max_length min_length do_sample num_beams top_k top_p temperature " +
      "repetition_penalty length_penalty no_repeat_ngram_size tie_encoder_decoder",
    { nothing: "is for generating text" },
  ),
  ...rules("summary_type summary_use_proj summary_activation summary_last_dropout", {
    nothing: "is of a head that is not run",
  }),
  ...rules("deterministic_flash_attn reference_compile sparse_prediction sparse_pred_ignore_index", {
    nothing: "is another way to the same result",
  }),
  ...rules("net_structure_type gap_size down_scale_factor num_memory_blocks", {
    nothing: "is of the original code; the library does not look at it",
  }),
  ...rules("label2id", { nothing: "id2label has the names" }),
  ...rules("auto_map custom_pipelines", {
    nothing: "code of the model's own is not run, as in the library unless told to",
  }),
  ...rules("position_embedding_type is_decoder add_cross_attention is_encoder_decoder", {
    nothing: "is what every supported model has",
  }),
};
