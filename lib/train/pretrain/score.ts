import type { NativeTrainer } from "../../../ffi/train.ts";
import type { Objective } from "../records.ts";
import { examplesOf } from "./mask.ts";
import type { Sequences } from "./sequences.ts";

/** Masks of held-out text are of this seed, whatever the run's: models are scored on the same predictions. */
const SEED = 0;

export interface ScoreOptions {
  objective: Objective;
  /** Share of the tokens that is masked. */
  masked: number;
  /** The mask token's id, and how many ids there are. */
  mask: number;
  vocab: number;
  /** Sequences at once. */
  microbatch: number;
}

/**
 * Mean loss over the predictions of the held-out sequences, in nats, and the share of which the model holds the right token likeliest.
 * Undefined when nothing is held out.
 */
export async function scoreHeldOut(
  trainer: NativeTrainer,
  sequences: Sequences,
  { objective, masked, mask, vocab, microbatch }: ScoreOptions,
): Promise<{ loss: number; accuracy: number } | undefined> {
  const sum = { loss: 0, weight: 0, correct: 0 };
  for (let at = 0; at < sequences.heldOut; at += microbatch) {
    const count = Math.min(microbatch, sequences.heldOut - at);
    const chosen = Array.from({ length: count }, (_, i) => sequences.held(at + i));
    const { batch, targets, options } = examplesOf(objective, chosen, at, {
      mask,
      vocab,
      share: masked,
      seed: SEED,
    });
    const { loss, weight, correct } = await trainer.step(batch, targets, { ...options, backward: false });
    sum.loss += loss;
    sum.weight += weight;
    sum.correct += correct;
  }
  return sum.weight === 0 ? undefined : { loss: sum.loss / sum.weight, accuracy: sum.correct / sum.weight };
}
