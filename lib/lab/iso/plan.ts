/** What `uffb lab iso` compares: models that differ in their feedforward layers alone, trained alike. */
import type { Compute } from "../../../ffi/train.ts";
import { UsageError } from "../../base/errors.ts";
import type { ModelShape } from "../../model/crammed-config.ts";
import {
  activeNeurons,
  type Feedforward,
  feedforwardName,
  parseFeedforward,
} from "../../model/families/feedforward.ts";
import { CRAMMING, type PretrainRecipe } from "../../train/pretrain/recipe.ts";

/** One of the models that are compared. */
export interface Contender {
  /** As parseContender reads it. */
  name: string;
  feedforward: Feedforward;
  /** What its trees are trained with besides. */
  training: Partial<PretrainRecipe>;
  /** Neurons of a layer that a token passes. */
  active: number;
}

export interface Plan {
  shape: Omit<ModelShape, "feedforward" | "vocab">;
  recipe: PretrainRecipe;
  contenders: Contender[];
  /** 1 to this many. */
  seeds: number;
}

interface Preset extends Omit<Plan, "contenders"> {
  shapes: readonly string[];
}

/** How trees can be trained otherwise, by what is written after their shape, in this order. */
const TRAININGS: Readonly<Record<string, Partial<PretrainRecipe>>> = {
  balanced: { balance: 0.02 },
  noisy: { branchNoise: 0.5 },
};

/** Small budgets learn nothing of masked words but how frequent they are; the next word teaches four times as many tokens. */
const NEXT_TOKEN: PretrainRecipe = {
  ...CRAMMING,
  causal: 1,
  ramp: 0,
  order: "shuffle",
  scores: 4,
  heldOut: 0.02,
};

export const PRESETS = {
  tiny: {
    shape: { layers: 1, hidden: 16, heads: 1, maxLength: 16 },
    recipe: {
      ...NEXT_TOKEN,
      budget: { unit: "tokens", amount: 4000 },
      batch: 8,
      microbatch: 8,
      length: 16,
      lr: 5e-3,
      scores: 2,
    },
    shapes: ["none", "dense:8", "1x3", "1x3:balanced", "1x3:noisy", "dense:4+1x3"],
    seeds: 2,
  },
  hour: {
    shape: { layers: 2, hidden: 128, heads: 2, maxLength: 64 },
    recipe: {
      ...NEXT_TOKEN,
      budget: { unit: "tokens", amount: 2.5e6 },
      batch: 32,
      microbatch: 32,
      length: 64,
      lr: 2e-3,
    },
    shapes: [
      "none",
      ...["dense:6", "dense:12", "dense:24", "dense:48", "dense:128", "dense:512"],
      ...[
        "1x8",
        "1x8:balanced",
        "1x8:noisy",
        "1x8:linear",
        "1x8:after",
        "4x6",
        "4x6:balanced",
        "16x4",
        "64x2",
      ],
      ...["dense:24+1x8", "dense:24+4x6:linear"],
    ],
    seeds: 2,
  },
  day: {
    shape: { layers: 4, hidden: 256, heads: 4, maxLength: 128 },
    recipe: {
      ...NEXT_TOKEN,
      budget: { unit: "tokens", amount: 5e6 },
      batch: 32,
      microbatch: 32,
      length: 128,
    },
    shapes: [
      "none",
      ...["dense:12", "dense:24", "dense:48", "dense:96", "dense:192", "dense:256", "dense:1024"],
      ...[
        "1x9",
        "1x9:balanced",
        "1x9:noisy",
        "1x9:linear",
        "1x9:linear:balanced",
        "1x9:after",
        "4x7",
        "4x7:balanced",
        "16x5",
        "64x3",
        "256x1",
      ],
      ...["dense:48+1x9", "dense:48+4x7:linear", "dense:48+4x7:linear:balanced"],
    ],
    seeds: 2,
  },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as PresetName[];

/** A shape as parseFeedforward reads it, and for trees perhaps some of TRAININGS, as in `1x8:balanced`. @throws UsageError */
export function parseContender(name: string): Contender {
  const words = name.split(":");
  const start = words.findIndex((word) => Object.hasOwn(TRAININGS, word));
  const [shape, given] = start < 0 ? [words, []] : [words.slice(0, start), words.slice(start)];
  const chosen = Object.keys(TRAININGS).filter((word) => given.includes(word));
  if (chosen.length < given.length)
    throw new UsageError(
      `--shapes ${name}: give after a shape each of ${Object.keys(TRAININGS).join(", ")} once, if at all`,
    );
  const feedforward = parseFeedforward(shape.join(":"));
  if (chosen.length > 0 && feedforward.kind !== "trees")
    throw new UsageError(`--shapes ${name}: only trees can be ${chosen[0]}; leave :${chosen[0]} out`);
  return {
    name: [feedforwardName(feedforward), ...chosen].join(":"),
    feedforward,
    training: Object.assign({}, ...chosen.map((word) => TRAININGS[word])),
    active: activeNeurons(feedforward),
  };
}

export interface Changes {
  shapes?: string | undefined;
  seeds?: number | undefined;
  tokens?: number | undefined;
  compute?: Compute | undefined;
}

/** A preset with what the user changes of it. @throws UsageError for shapes that there are not, or twice */
export function planOf(preset: PresetName, { shapes, seeds, tokens, compute = "f32" }: Changes = {}): Plan {
  const of: Preset = PRESETS[preset];
  const names = shapes?.split(",").map((name) => name.trim()) ?? of.shapes;
  const contenders = names.map(parseContender);
  const twice = contenders.find(({ name }, i) => contenders.findIndex((other) => other.name === name) !== i);
  if (twice) throw new UsageError(`--shapes: ${twice.name} is there twice`);
  const budget = tokens === undefined ? of.recipe.budget : ({ unit: "tokens", amount: tokens } as const);
  return { shape: of.shape, recipe: { ...of.recipe, budget, compute }, contenders, seeds: seeds ?? of.seeds };
}

/** How one of them is trained. Its seed decides weights, order and masks: contenders of one seed read the same text in the same order. */
export function recipeOf({ recipe }: Plan, { training }: Contender, seed: number): PretrainRecipe {
  return { ...recipe, ...training, seed };
}
