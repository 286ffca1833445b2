import type { Recipe } from "../../lib/train/recipe.ts";
import { SHAPES } from "../../lib/train/schedule.ts";
import { computeArg, grouped, type Values } from "./args.ts";

/** The flags that say how a model is trained. What is not given is the recipe's own. */
export const recipeArgs = grouped("TRAINING", {
  epochs: {
    type: "number",
    integer: true,
    min: 1,
    max: 10_000,
    description: "Epochs: how often all examples are used; default: 5",
  },
  lr: {
    type: "number",
    min: 0,
    max: 1e6,
    valueHint: "rate",
    description: "Largest learning rate; default: 4e-5",
  },
  batch: { type: "number", integer: true, min: 1, max: 65_536, description: "Examples a step; default: 16" },
  schedule: {
    type: "enum",
    options: SHAPES,
    description: "How the learning rate falls; default: cosine",
  },
  warmup: {
    type: "number",
    min: 0,
    max: 1,
    valueHint: "share",
    description: "Share of the steps over which the rate first rises; default: 0.1",
  },
  weightDecay: {
    type: "number",
    min: 0,
    max: 1,
    description: "Weight decay of matrices and embeddings; default: 0",
  },
  clip: {
    type: "number",
    min: 0,
    valueHint: "norm",
    description: "Largest norm of a step's gradient; larger ones are scaled down to it; default: 0, no limit",
  },
  dropout: {
    type: "number",
    min: 0,
    max: 0.9,
    valueHint: "share",
    description: "Dropout probability in embedding, attention, blocks and head; default: 0.1",
  },
  labelSmoothing: {
    type: "number",
    min: 0,
    max: 0.9,
    valueHint: "share",
    description: "Label smoothing: spread this share of each target over all classes; default: 0",
  },
  maxLength: {
    type: "number",
    integer: true,
    min: 4,
    max: 65_536,
    valueHint: "tokens",
    description: "Most tokens of an input; default: 128, or what the model takes",
  },
  seed: {
    type: "number",
    integer: true,
    min: 0,
    max: 2 ** 53 - 1,
    description: "Seed of the split, the order of examples, new weights and dropout; default: 1",
  },
  freeze: {
    type: "number",
    integer: true,
    min: 0,
    max: 4096,
    valueHint: "layers",
    description: "Do not train the embedding and this many of the lowest layers",
  },
  patience: {
    type: "number",
    integer: true,
    min: 0,
    max: 10_000,
    valueHint: "epochs",
    description: "Stop after this many epochs without a better score",
  },
  keep: { type: "enum", options: ["last", "best"], description: "Which epoch's weights the result has" },
  compute: computeArg,
});

const KEYS = Object.keys(recipeArgs) as (keyof typeof recipeArgs)[];

/** A recipe with what the flags change of it. */
export function toRecipe(base: Recipe, args: Partial<Values<typeof recipeArgs>>): Recipe {
  const given = KEYS.filter((key) => args[key] !== undefined).map((key) => [key, args[key]]);
  return { ...base, ...Object.fromEntries(given) };
}
