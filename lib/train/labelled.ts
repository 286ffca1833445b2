/** Steps over labelled examples: what fine-tuning gives the trainer. */
import { UFFB_HEAD_CLASS } from "../../ffi/bindings.ts";
import type { NativeTrainer, StepOptions } from "../../ffi/train.ts";
import type { Kind } from "../data/own/labels.ts";
import { assemble, balancedWeights, type Examples, LOSSES } from "./batches.ts";
import type { Part } from "./loop.ts";
import type { Recipe } from "./recipe.ts";
import { pooled } from "./scorer.ts";

export interface LabelledOptions {
  trainer: NativeTrainer;
  recipe: Recipe;
  kind: Kind;
  examples: Examples;
  /** [examples, hidden]: what the encoder gives, when only the head is trained. */
  vectors?: Float32Array | undefined;
}

/** Makes the batch of a step from the numbers of its examples. */
export function labelledParts({ trainer, recipe, kind, examples, vectors }: LabelledOptions) {
  const { labels, hidden } = trainer.arch;
  const classWeights =
    recipe.classWeights === "balanced" ? balancedWeights(examples.targets, kind, labels) : undefined;
  return (members: Uint32Array, step: number): Part[] => {
    const { batch, targets } = assemble(examples, members, kind);
    const part = {
      batch,
      targets: { targets, classWeights },
      options: {
        head: UFFB_HEAD_CLASS,
        loss: LOSSES[kind],
        labelSmoothing: recipe.labelSmoothing,
        ...dropout(recipe, step, vectors === undefined),
      },
      ...counted(examples, members),
    };
    if (vectors === undefined) return [part];
    const rows = new Float32Array(members.length * hidden);
    for (const [row, i] of members.entries())
      rows.set(vectors.subarray(i * hidden, (i + 1) * hidden), row * hidden);
    return [{ ...part, ...pooled(rows, hidden) }];
  };
}

/** Dropout of a step, in the encoder too where it runs. */
export function dropout({ dropout: rate, seed }: Recipe, step: number, inEncoder: boolean) {
  const encoder = inEncoder ? rate : 0;
  return {
    embeddingDropout: encoder,
    attentionDropout: encoder,
    blockDropout: encoder,
    headDropout: rate,
    seed,
    counter: step,
  } satisfies Partial<StepOptions>;
}

/** Examples of a step whose places an error names. */
const NAMED = 8;

/** What the loop has to know of a batch besides. */
export function counted(
  { inputs, place }: Pick<Examples, "inputs" | "place">,
  members: Uint32Array,
): Pick<Part, "tokens" | "places"> {
  return {
    tokens: members.reduce((sum, i) => sum + inputs[i]!.ids.length, 0),
    places: (bad?: readonly number[]) => {
      const all = bad ? bad.map((row) => members[row]!) : [...members];
      const named = all.slice(0, NAMED).map((i) => place(i));
      return named.join(", ") + (all.length > NAMED ? ` and ${all.length - NAMED} more` : "");
    },
  };
}
