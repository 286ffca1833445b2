import type { NativeTrainer } from "../../ffi/train.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import type { Config } from "../model/config.ts";
import { type Model, tokenizerOf } from "../model/model.ts";
import { scoringOf } from "../model/scoring.ts";
import { PLAIN_PROMPTS } from "../model/sentence/prompts.ts";

/**
 * A trainer's weights as they are now, as a model to run between two of its calls. Disposing of it ends the trainer.
 * @param like a model that makes sentence vectors in the same way
 */
export function trainedModel(
  trainer: NativeTrainer,
  config: Config,
  start: Checkpoint,
  source: string,
  like?: Pick<Model, "sentence" | "prompts">,
): Model {
  return {
    config,
    get native() {
      return trainer.model();
    },
    source,
    warnings: [],
    ...tokenizerOf(start),
    sentence: () => like?.sentence(),
    prompts: () => like?.prompts() ?? PLAIN_PROMPTS,
    scoring: () => scoringOf(config, PLAIN_PROMPTS, source),
    [Symbol.dispose]: () => trainer[Symbol.dispose](),
  };
}
