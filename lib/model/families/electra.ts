import { UFFB_GELU } from "../../../ffi/bindings.ts";
import { bertEncoder } from "./bert.ts";
import { type Family, linear } from "./family.ts";
import { CLASSIFIER } from "./roberta.ts";
import { BERT_KEYS, BERT_SIZES, MAX_SIZE, onlyGeluFills, readTransformer, renamer } from "./transformer.ts";

/**
 * ELECTRA: BERT's encoder behind embeddings that may be narrower. A generator fills masks; of a discriminator, which tells tokens that it has
 * replaced, the encoder is read.
 */
export const electra: Family = {
  modelType: "electra",
  encoder: "ElectraModel",
  sizes: BERT_SIZES,
  classifier: { architecture: "ElectraForSequenceClassification" },
  tokenClassifier: "ElectraForTokenClassification",
  read(config) {
    const width = config.has("embedding_size") ? config.size("embedding_size", 1, MAX_SIZE) : 128;
    const settings = readTransformer(config, BERT_KEYS, {
      architectures: [
        "ElectraModel",
        "ElectraForMaskedLM",
        "ElectraForPreTraining",
        "ElectraForSequenceClassification",
      ],
      tokenTypes: config.size("type_vocab_size", 1, 65_536),
      positionOffset: 0,
      poolActivation: UFFB_GELU,
    });
    const { arch } = settings;
    onlyGeluFills(config, "hidden_act", "ElectraForMaskedLM", arch.activation);
    return { ...settings, arch: { ...arch, embedWidth: width === arch.hidden ? 0 : width } };
  },
  rename: renamer("electra.", ["embeddings.", "embeddings_project.", "encoder."], {}),
  roles: [
    ...bertEncoder("electra."),
    ...linear("embed.project", "electra.embeddings_project"),
    ...linear("head.mlm.dense", "generator_predictions.dense"),
    ...linear("head.mlm.norm", "generator_predictions.LayerNorm"),
    ...linear("head.mlm.decoder", "generator_lm_head"),
    ...CLASSIFIER,
  ],
  ignored: [/^electra\.embeddings\.(position_ids|token_type_ids)$/],
  prefix: "electra.",
  heads: [/^generator_(predictions|lm_head)\./, /^discriminator_predictions\./],
};
