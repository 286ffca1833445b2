/** What pretraining says before it begins and when it is over, for people, for programs, and for whoever finds the model. */
import { count, formatBytes, formatSeconds, percent, plural } from "../../base/numbers.ts";
import { align } from "../../base/table.ts";
import type { ModelShape } from "../../model/crammed-config.ts";
import { activeNeurons, feedforwardName } from "../../model/families/feedforward.ts";
import { type CardOptions, cardText, cell, flagOf } from "../card.ts";
import { isStep } from "../records.ts";
import { rounded } from "../report.ts";
import type { Estimate, PretrainOutline } from "./outline.ts";
import type { PretrainOutcome, PretrainStart } from "./pretrain.ts";
import { CRAMMING, extentOf, type PretrainRecipe } from "./recipe.ts";
import type { CorpusFacts } from "./tokens.ts";

/** "4 layers of hidden 256, 4 heads, trees 1x8 (9 neurons a token)". */
export function shapeText({ feedforward, layers, hidden, heads }: ModelShape): string {
  const active = plural(activeNeurons(feedforward), "active neuron");
  return `${plural(layers, "layer")} of hidden ${hidden}, ${plural(heads, "head")}, feedforward ${feedforwardName(feedforward)} (${active})`;
}

/** What is to come, before the first step. */
export function startLines(start: PretrainStart): string[] {
  const { shape, recipe, facts, steps, sequences, heldOut } = start;
  const { budget, length, batch, microbatch, causal } = recipe;
  const all = steps === undefined || budget.unit === "steps" ? "" : `, ${plural(steps, "step")}`;
  const extent = extentOf(recipe);
  const passes = extent ? `, ${(extent.sequences / sequences).toPrecision(2)} passes over the text` : "";
  const warm = causal > 0 ? `, the first ${percent(causal)} on next tokens` : "";
  const dropped = facts.dropped + facts.bad;
  const sizes = microbatch < batch ? `${microbatch} to ${count(batch)}` : count(batch);
  return [
    `${shapeText(shape)}: ${count(start.parameters)} parameters`,
    `${count(facts.tokens)} tokens of ${plural(facts.documents, "document")}${dropped > 0 ? `, ${count(dropped)} of them left out` : ""}: ${plural(sequences, "sequence")} of ${length} to train on, ${count(heldOut)} held out`,
    `${count(budget.amount)} ${budget.unit}${all}${passes}${warm}; updates of ${sizes} sequences; learning rate ${recipe.lr}, ${recipe.schedule}, seed ${recipe.seed}; ${plural(start.threads, "thread")}, ${start.isa}${rounded(recipe)}`,
    memoryLine(start),
    boundLine(start),
    ...(start.done > 0 ? [`goes on after step ${start.done}`] : []),
  ];
}

function memoryLine({ memory }: PretrainOutline): string {
  const { total, weights, gradients, moments, kept, scratch } = memory;
  return `memory: ${formatBytes(total)} at most: weights ${formatBytes(weights)}, gradients ${formatBytes(gradients)}, moments ${formatBytes(moments)}, kept for the backward pass ${formatBytes(kept)}, scratch ${formatBytes(scratch)}`;
}

function boundLine({ flopsPerToken, rate, recipe }: PretrainOutline): string {
  return `${(flopsPerToken / 1e6).toFixed(1)} MFLOP a token: at most ${count(rate / flopsPerToken)} tokens/s at this CPU's ${Math.round(rate / 1e9)} GFLOP/s${rounded(recipe)}`;
}

/** What a budget would take, by a measurement. */
export function estimateText(found: Estimate): string {
  const { shape, parameters, tokens, seconds, secondsPerToken, secondsPerUpdate, steps } = found;
  const flops = tokens * found.flopsPerToken;
  const lines = [
    `${shapeText(shape)}: ${count(parameters)} parameters`,
    memoryLine(found),
    boundLine(found),
    `measured: ${count(1 / secondsPerToken)} tokens/s, an update ${(1000 * secondsPerUpdate).toPrecision(3)} ms; ${plural(found.threads, "thread")}, ${found.isa}${rounded(found.recipe)}`,
    stepLine(found),
    `the budget: ${count(tokens)} tokens${steps === undefined ? "" : ` in ${plural(steps, "step")}`}, ${(flops / 1e15).toPrecision(3)} PFLOP, ${(seconds / 3600).toPrecision(3)} hours on this machine`,
  ];
  return `${lines.join("\n")}\n`;
}

/** A step of one micro-batch and its update, in seconds: of each part, and of what all of it would take at the CPU's peak. */
function stepOf({ sequences, recipe, rate, ...found }: Estimate) {
  const tokens = sequences * recipe.length;
  const both = tokens * found.secondsPerToken;
  const { secondsForward: forward, secondsPerUpdate: update } = found;
  const total = both + update;
  return { total, forward, backward: both - forward, update, bound: (tokens * found.flopsPerToken) / rate };
}

function stepLine(found: Estimate): string {
  const { total, forward, backward, update, bound } = stepOf(found);
  const parts = `forward ${percent(forward / total)}, backward ${percent(backward / total)}, update ${percent(update / total)}`;
  return `a step of ${plural(found.sequences, "sequence")} of ${found.recipe.length}: ${(1000 * total).toPrecision(3)} ms: ${parts}; ${(total / bound).toFixed(2)} times three forward passes at the CPU's peak`;
}

/**
 * The same for programs: the model as in outcomeJson, `batch` and `length` of the step that was measured, `seconds_per_step` and of these
 * `seconds_forward`, `seconds_backward` and `seconds_update`, `seconds_bound` that three forward passes take at `peak_flops`,
 * `tokens_per_second`, `flops_per_token`, `bytes` of memory at most, `bytes_per_token` kept for the backward pass; `budget_tokens` and
 * `budget_seconds`.
 */
export function estimateJson(found: Estimate): string {
  const { total, forward, backward, update, bound } = stepOf(found);
  const { feedforward, layers, hidden, heads } = found.shape;
  return `${JSON.stringify(
    {
      shape: feedforwardName(feedforward),
      layers,
      hidden,
      heads,
      parameters: found.parameters,
      active_neurons: activeNeurons(feedforward),
      batch: found.sequences,
      length: found.recipe.length,
      seconds_per_step: total,
      seconds_forward: forward,
      seconds_backward: backward,
      seconds_update: update,
      seconds_bound: bound,
      tokens_per_second: (found.sequences * found.recipe.length) / total,
      flops_per_token: found.flopsPerToken,
      peak_flops: found.rate,
      bytes: found.memory.total,
      bytes_per_token: found.memory.keptPerToken,
      budget_tokens: found.tokens,
      budget_seconds: found.seconds,
      compute: found.recipe.compute,
      isa: found.isa,
      threads: found.threads,
    },
    null,
    2,
  )}\n`;
}

/** Tokens a second, and which part of the CPU's peak that is; the first steps, which claim memory, left out. Scoring is not counted. */
export function pace({ records, start }: Pick<PretrainOutcome, "records" | "start">) {
  const steps = records.filter(isStep);
  const counted = steps.length > 4 ? steps.slice(2) : steps;
  const seconds = counted.reduce((sum, step) => sum + step.seconds, 0);
  if (seconds === 0) return undefined;
  const tokensPerSecond = counted.reduce((sum, step) => sum + step.tokens, 0) / seconds;
  return { tokensPerSecond, ofPeak: (tokensPerSecond * start.flopsPerToken) / start.rate };
}

/** How the run went, score by score. */
function scoreTable({ scores }: PretrainOutcome): string[] {
  if (scores.length === 0) return [];
  const rows = scores.map(({ step, tokens, objective, loss, accuracy, trees = [] }) => [
    count(step),
    count(tokens),
    objective,
    loss.toFixed(4),
    percent(accuracy),
    trees.map(({ entropy }) => entropy.toFixed(1)).join(" "),
  ]);
  const header = ["step", "tokens", "predicts", "loss", "accuracy", "bits of routing, layer by layer"];
  const width = rows.some((row) => row[5] !== "") ? 6 : 5;
  return align(
    [header, ...rows].map((row) => row.slice(0, width)),
    (column) => column < 5 && column !== 2,
  );
}

/** Everything about a run that is over, for people. */
export function outcomeText(outcome: PretrainOutcome): string {
  const found = pace(outcome);
  const rate = found
    ? `; ${count(found.tokensPerSecond)} tokens/s, ${percent(found.ofPeak)} of the peak`
    : "";
  const parts = [
    scoreTable(outcome),
    [`${count(outcome.tokens)} tokens in ${formatSeconds(outcome.seconds)}${rate}`],
  ];
  return parts
    .filter((part) => part.length > 0)
    .map((part) => `${part.join("\n")}\n`)
    .join("\n");
}

/**
 * The same for programs: `shape`, `layers`, `hidden`, `heads`, `parameters`, `active_neurons`, `tokens`, `loss` and `accuracy` on held-out
 * text, `scores` as in the log, `seconds`, `tokens_per_second`, `flops_per_token`, `bytes` of memory.
 */
export function outcomeJson(outcome: PretrainOutcome, output: string | undefined): string {
  const { start, scores, score, tokens, seconds } = outcome;
  const { feedforward, layers, hidden, heads } = start.shape;
  return `${JSON.stringify(
    {
      output: output ?? null,
      shape: feedforwardName(feedforward),
      layers,
      hidden,
      heads,
      parameters: start.parameters,
      active_neurons: activeNeurons(feedforward),
      tokens,
      loss: score?.loss ?? null,
      accuracy: score?.accuracy ?? null,
      scores,
      seconds,
      tokens_per_second: pace(outcome)?.tokensPerSecond ?? null,
      flops_per_token: start.flopsPerToken,
      bytes: start.memory.total,
      isa: start.isa,
      threads: start.threads,
    },
    null,
    2,
  )}\n`;
}

/** The model card of the result. */
export function pretrainCard(outcome: PretrainOutcome, options: Omit<CardOptions, "data">): string {
  const { start, score, tokens, seconds } = outcome;
  const { recipe, facts } = start;
  const scores = score
    ? [
        "| | |",
        "|---|---:|",
        `| loss | ${score.loss.toFixed(4)} |`,
        `| accuracy | ${score.accuracy.toFixed(4)} |`,
        "",
        `On ${count(start.heldOut)} sequences of ${recipe.length} tokens that it was not trained on, ${percent(recipe.scoreMasked)} of their tokens masked.`,
      ]
    : ["It was not scored: no text was held out."];
  return cardText({
    ...options,
    tag: "fill-mask",
    about: `A masked language model, ${shapeText(start.shape)}, pretrained on ${count(tokens)} tokens of ${facts.files.map(({ name }) => cell(name)).join(", ")}.`,
    usage: 'uffb infer --model . "A text with a [MASK]."',
    scores,
    counted: "documents",
    data: filesOf(facts),
    settings: settingsOf(recipe),
    made: `Trained by uffb ${options.version} in ${formatSeconds(seconds)} on ${start.threads} CPU threads (${start.isa}), ${count(start.parameters)} parameters; \`training.jsonl\` has every step.`,
  });
}

function filesOf({ files }: CorpusFacts) {
  return files.map(({ name, documents, sha256 }) => ({ name, rows: documents, sha256 }));
}

function settingsOf({ budget, ...recipe }: PretrainRecipe): [string, string][] {
  const { budget: _, ...others } = CRAMMING;
  const keys = Object.keys(others) as (keyof typeof others)[];
  return [
    [budget.unit, String(budget.amount)],
    ...keys.map((key): [string, string] => [flagOf(key), String(recipe[key])]),
  ];
}
