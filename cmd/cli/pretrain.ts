import { UsageError } from "../../lib/base/errors.ts";
import { count, formatSeconds, percent } from "../../lib/base/numbers.ts";
import { bar } from "../../lib/base/progress.ts";
import type { ModelShape } from "../../lib/model/crammed-config.ts";
import { parseFeedforward } from "../../lib/model/families/feedforward.ts";
import { INITS } from "../../lib/train/pretrain/initial.ts";
import type { PretrainOptions } from "../../lib/train/pretrain/pretrain.ts";
import { type Budget, CRAMMING, type PretrainRecipe } from "../../lib/train/pretrain/recipe.ts";
import { startLines } from "../../lib/train/pretrain/report.ts";
import { ORDERS } from "../../lib/train/pretrain/sequences.ts";
import { SHAPES } from "../../lib/train/schedule.ts";
import { computeArg, grouped, type Values } from "./args.ts";
import { messages } from "./messages.ts";
import { statusLine } from "./terminal.ts";

/** Hidden numbers of a head, where --heads is not given. */
const HEAD = 64;

/** The flags that say what a new model is like. */
export const shapeArgs = grouped("MODEL AND RESULT", {
  shape: {
    type: "string",
    valueHint: "KxD",
    description:
      "Feedforward layers: 1x11 is one tree of depth 11, 1x11:linear one whose nodes put out their logits, 1x11:after the same with the activation after their sum, dense:192+1x11 one beside a dense layer; dense:3072, glu:3072 (its first matrix, half of it gates), or none; default: 1x11",
  },
  layers: { type: "number", integer: true, min: 1, max: 4096, description: "Layers; default: 16" },
  hidden: {
    type: "number",
    integer: true,
    min: 1,
    max: 65_536,
    description: "Numbers of a token's state; default: 768",
  },
  heads: {
    type: "number",
    integer: true,
    min: 1,
    max: 65_536,
    description: `Attention heads; default: one for each ${HEAD} of --hidden`,
  },
});

/** The model that the flags describe. `vocab` and `maxLength` are the tokenizer's and the recipe's. */
export function toShape(args: Values<typeof shapeArgs>, vocab: number, maxLength: number): ModelShape {
  const { shape = "1x11", layers = 16, hidden = 768 } = args;
  const heads = args.heads ?? Math.max(1, Math.round(hidden / HEAD));
  return { feedforward: parseFeedforward(shape), layers, hidden, heads, vocab, maxLength };
}

/** The flags that say how a model is pretrained. What is not given is the recipe's own. */
export const pretrainArgs = grouped("TRAINING", {
  steps: { type: "number", integer: true, min: 1, max: 1e12, description: "Budget: updates" },
  tokens: { type: "number", min: 1, max: 1e15, description: "Budget: tokens" },
  hours: { type: "number", min: 0, max: 1e6, description: "Budget: hours on this machine" },
  lr: {
    type: "number",
    min: 0,
    max: 1e6,
    valueHint: "rate",
    description: "Largest learning rate; default: 1e-3",
  },
  schedule: {
    type: "enum",
    options: SHAPES,
    description:
      "How the learning rate goes over the budget; default: triangle, up from a quarter to the peak at three quarters, then to nothing",
  },
  warmup: {
    type: "number",
    min: 0,
    max: 1,
    valueHint: "share",
    description: "Share of the budget over which the rate first rises from 0; default: 0",
  },
  batch: {
    type: "number",
    integer: true,
    min: 1,
    max: 1 << 20,
    valueHint: "sequences",
    description: "Most sequences of an update; default: 8192",
  },
  microbatch: {
    type: "number",
    integer: true,
    min: 1,
    max: 65_536,
    valueHint: "sequences",
    description: "Sequences computed at once, on which memory depends; default: 128",
  },
  ramp: {
    type: "number",
    min: 0,
    max: 1,
    valueHint: "share",
    description: "Share of the budget over which updates grow from a micro-batch to --batch; default: 0.6",
  },
  length: {
    type: "number",
    integer: true,
    min: 8,
    max: 65_536,
    valueHint: "tokens",
    description: "Tokens of a sequence; default: 128",
  },
  masked: {
    type: "number",
    min: 0.001,
    max: 1,
    valueHint: "share",
    description: "Share of each sequence's tokens that is masked and predicted; default: 0.25",
  },
  causal: {
    type: "number",
    min: 0,
    max: 1,
    valueHint: "share",
    description:
      "Share of the budget, its beginning, over which each token is predicted from those before it; saves small budgets; default: 0",
  },
  weightDecay: {
    type: "number",
    min: 0,
    max: 1,
    description: "Weight decay of matrices and embeddings; default: 0.01",
  },
  clip: {
    type: "number",
    min: 0,
    valueHint: "norm",
    description:
      "Largest norm of an update's gradient; larger ones are scaled down to it; 0: no limit; default: 0.5",
  },
  balance: {
    type: "number",
    min: 0,
    max: 10,
    valueHint: "rate",
    description:
      "After each update move the biases of trees by up to this much, so that tokens go either way as often; default: 0",
  },
  branchNoise: {
    type: "number",
    min: 0,
    max: 1000,
    valueHint: "deviation",
    description:
      "In trees, add noise to the logits that decide a token's way, of this standard deviation at first and less and less until the budget's end; default: 0",
  },
  positionFactor: {
    type: "number",
    min: 0,
    max: 1000,
    description:
      "Keep the factor of the positions' sinusoids at this, which over small budgets makes attention learn sooner; default: 0, it is trained from 1/sqrt(hidden) on, as published",
  },
  positionGrowth: {
    type: "number",
    min: 0,
    max: 1000,
    valueHint: "times",
    description:
      "Let --position-factor become this many times as large over the masked phase, as embeddings do that learn; default: 1, it stays",
  },
  init: {
    type: "enum",
    options: INITS,
    description:
      "First weights: published, N(0, 0.02); or fan-in, for small models, whose layers have few inputs: 1/sqrt(3 n), where n numbers are summed; default: published",
  },
  order: {
    type: "enum",
    options: ORDERS,
    description:
      "How sequences follow each other: those with most full stops first, as published, or shuffled anew in each pass; default: prevalence",
  },
  heldOut: {
    type: "number",
    min: 0,
    max: 0.9,
    valueHint: "share",
    description:
      "Share of the text, its end, that is held out for scores; default: 0.005, at most 8,192 sequences",
  },
  scoreMasked: {
    type: "number",
    min: 0.001,
    max: 1,
    valueHint: "share",
    description: "Share of the held-out tokens that is masked for scores; default: 0.25",
  },
  scores: {
    type: "number",
    integer: true,
    min: 1,
    max: 10_000,
    description: "Scores on held-out text over the budget; default: 20",
  },
  seed: {
    type: "number",
    integer: true,
    min: 0,
    max: 2 ** 53 - 1,
    description: "Seed of weights, masks and order; default: 1",
  },
  compute: computeArg,
});

const UNITS = ["steps", "tokens", "hours"] as const satisfies Budget["unit"][];

/** The published recipe with what the flags change of it. @throws UsageError without a budget, or with two */
export function toPretrainRecipe(args: Values<typeof pretrainArgs>): PretrainRecipe {
  const budgets = UNITS.flatMap((unit) => (args[unit] === undefined ? [] : [{ unit, amount: args[unit] }]));
  const [budget] = budgets;
  if (budget === undefined) throw new UsageError("how long? give --steps, --tokens or --hours");
  if (budgets.length > 1)
    throw new UsageError(`${budgets.map(({ unit }) => `--${unit}`).join(" and ")} are two budgets; give one`);
  const keys = Object.keys(CRAMMING) as (keyof typeof args & keyof PretrainRecipe)[];
  const given = keys.filter((key) => args[key] !== undefined).map((key) => [key, args[key]]);
  return { ...CRAMMING, ...Object.fromEntries(given), budget };
}

/** Shows a run on stderr: what is to come, a line of progress on a terminal, and each score. `clear` takes the line away. */
export function showPretraining(): Required<
  Pick<PretrainOptions, "onStart" | "onStep" | "onScore" | "onWarning">
> & { onText(tokens: number): void; clear(): void } {
  const line = statusLine();
  const say = (show: (text: string) => void, text: string) => {
    line.clear();
    show(text);
  };
  return {
    clear: () => line.clear(),
    onText: (tokens) => line.show(() => `reading text: ${count(tokens)} tokens`),
    onStart: (start) => {
      line.clear();
      for (const text of startLines(start)) messages.info(text);
    },
    onStep: ({ step, loss, share, tokensPerSecond, secondsLeft }) => {
      line.show(() => {
        const left = `${formatSeconds(secondsLeft)} left`;
        return `${bar(share, 20)}  step ${count(step)}  loss ${loss.toFixed(4)}  ${count(tokensPerSecond)} tokens/s  ${left}`;
      });
    },
    onScore: ({ step, tokens, objective, loss, accuracy, trees }) => {
      const bits = trees
        ? `, bits of routing ${trees.map(({ entropy }) => entropy.toFixed(1)).join(" ")}`
        : "";
      const what = objective === "masked" ? "" : " on next tokens";
      say(
        (text) => messages.info(text),
        `step ${count(step)}, ${count(tokens)} tokens: held-out loss ${loss.toFixed(4)}${what}, accuracy ${percent(accuracy)}${bits}`,
      );
    },
    onWarning: (text) => say((one) => messages.warn(one), text),
  };
}
