/** A run's report, for people and for programs. */

import type { Compute } from "../../ffi/train.ts";
import { count, formatBytes, formatSeconds, plural } from "../base/numbers.ts";
import { printable } from "../base/printable.ts";
import { align, numericColumns } from "../base/table.ts";
import { lossOf } from "../eval/losses.ts";
import type { Outcome, Start } from "./finetune.ts";
import { isStep, type StepRecord } from "./records.ts";
import { metricTitle, predictions } from "./validate.ts";

/** `310 ms`, `1.24 s`. */
function duration(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  const ms = seconds * 1000;
  return `${ms >= 10 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

/** What products are of, where that is not f32. */
export function rounded({ compute }: { compute: Compute }): string {
  return compute === "f32" ? "" : `, products in ${compute}`;
}

/** What is to come, before the first step. */
export function startLines(start: Start): string[] {
  const { recipe, memory, bound, steps, done } = start;
  const frozen = start.trained < start.parameters ? `, ${count(start.trained)} of them trained` : "";
  const lines = [
    `${start.source}: ${count(start.parameters)} parameters${frozen}${start.newHead ? ", a new head" : ", its own head"}`,
    `${plural(steps, "step")} of ${plural(recipe.batch, "example")}, ${plural(recipe.epochs, "epoch")}; learning rate ${recipe.lr}, ${recipe.schedule}, seed ${recipe.seed}; ${plural(start.threads, "thread")}, ${start.isa}${rounded(recipe)}`,
    `memory: ${formatBytes(memory.total)} at most: weights ${formatBytes(memory.weights)}, gradients ${formatBytes(memory.gradients)}, moments ${formatBytes(memory.moments)}, kept for the backward pass ${formatBytes(memory.kept)} (${formatBytes(memory.keptPerToken)} a token), scratch ${formatBytes(memory.scratch)}`,
  ];
  if (bound) {
    const passes =
      recipe.freeze === 0 ? "three forward passes" : "a forward pass, and two of the trained layers,";
    lines.push(
      `a step of ${Math.round(bound.tokens)} tokens takes at least ${duration(bound.seconds)}: ${passes} at this CPU's ${Math.round(bound.rate / 1e9)} GFLOP/s${rounded(recipe)}`,
    );
  }
  if (start.cut > 0)
    lines.push(`${plural(start.cut, "text")} of ${count(start.examples)} cut to ${recipe.maxLength} tokens`);
  if (done > 0) lines.push(`goes on after step ${done}`);
  return lines;
}

/** Mean seconds of a step, and how many times the least that it could take; the first steps, which claim memory, left out. */
export function speed({ records, start }: Pick<Outcome, "records" | "start">) {
  const steps = records.filter(isStep).slice(2);
  if (steps.length === 0) return undefined;
  const sum = (value: (step: StepRecord) => number) => steps.reduce((total, step) => total + value(step), 0);
  const seconds = sum((step) => step.seconds);
  const tokens = sum((step) => step.tokens);
  const { bound } = start;
  return {
    secondsPerStep: seconds / steps.length,
    tokensPerSecond: tokens / seconds,
    timesBound: bound && seconds / tokens / (bound.seconds / bound.tokens),
  };
}

/** How the run went, epoch by epoch, and what became of it. */
export function epochTable({ epochs, epoch, job }: Outcome): string[] {
  const { metrics } = job;
  const valid = epochs.some(({ scores }) => scores);
  const header = ["epoch", "loss", ...(valid ? ["valid. loss", ...metrics.map(metricTitle)] : []), ""];
  const rows = epochs.map((record) => [
    String(record.epoch),
    record.train_loss.toFixed(4),
    ...(valid ? [number(record.valid_loss), ...metrics.map((name) => number(record.scores?.[name]))] : []),
    record.epoch === epoch && epochs.length > 1 ? "kept" : "",
  ]);
  return align([header, ...rows], numericColumns(rows.map((row) => row.slice(0, -1))));
}

function number(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? "–" : value.toFixed(4);
}

/** How often a label of several was right, was said, and both. */
interface Found {
  label: string;
  is: number;
  said: number;
  both: number;
}

/** What was said of the examples to validate on: each one's labels, or the one. */
function said({ job, final }: Outcome): readonly (readonly number[])[] {
  const width = job.labels.length;
  return job.valid!.targets.map((_, i) =>
    predictions(job.kind, final!.logits.subarray(i * width, (i + 1) * width)),
  );
}

/** Examples by label (rows) and prediction (columns), in the order of the labels; undefined where there are none, or not one label each. */
export function confusionMatrix(outcome: Outcome): number[][] | undefined {
  const { job, final } = outcome;
  if (!final || job.kind !== "classification") return undefined;
  const matrix = job.labels.map(() => job.labels.map(() => 0));
  const guesses = said(outcome);
  for (const [i, target] of job.valid!.targets.entries()) {
    const row = matrix[Number(target)]!;
    const column = guesses[i]![0]!;
    if (column in row) row[column]!++;
  }
  return matrix;
}

/** The same of several labels at once; undefined where each example has one. */
function foundLabels(outcome: Outcome): Found[] | undefined {
  const { job, final } = outcome;
  if (!final || job.kind !== "multi-label") return undefined;
  const guesses = said(outcome);
  return job.labels.map((label, c) => {
    const is = job.valid!.targets.map((target) => (target as number[])[c]! > 0.5);
    const says = guesses.map((row) => row[c] === 1);
    const both = is.filter((value, i) => value && says[i]).length;
    const [real, found] = [is, says].map((list) => list.filter(Boolean).length) as [number, number];
    return { label, is: real, said: found, both };
  });
}

/** A row a label, a column a prediction; of several labels at once, how each was found. */
export function confusion(outcome: Outcome): string[] {
  const { labels } = outcome.job;
  const matrix = confusionMatrix(outcome);
  if (matrix) {
    const rows = labels.map((label, c) => [label, ...matrix[c]!.map(String)]);
    return align([["label \\ said", ...labels], ...rows], (c) => c > 0);
  }
  const rows = foundLabels(outcome)?.map(({ label, is, said, both }) => [
    label,
    String(is),
    String(said),
    String(both),
    number(both / said),
    number(both / is),
  ]);
  return rows ? align([["label", "is", "said", "both", "precision", "recall"], ...rows], (c) => c > 0) : [];
}

/** An example that the result is wrong about. */
export interface Worst {
  place: string;
  label: string;
  prediction: string;
  loss: number;
  text: string;
}

/** The examples to validate on with the largest losses, worst first. */
export function worst({ job, final }: Outcome, most: number): Worst[] {
  if (!final) return [];
  const { kind, labels, valid } = job;
  const width = final.logits.length / valid!.targets.length;
  const name = (value: number | readonly number[]) => {
    if (kind === "regression") return String(Number(Number(value).toPrecision(6)));
    if (kind === "classification") return labels[Number(value)] ?? "–";
    return (value as number[]).flatMap((on, c) => (on > 0.5 ? [labels[c]!] : [])).join(";") || "–";
  };
  return valid!.targets
    .map((target, i) => {
      const logits = final.logits.subarray(i * width, (i + 1) * width);
      const said = predictions(kind, logits);
      const prediction = name(kind === "multi-label" ? said : said[0]!);
      return { i, label: name(target), prediction, loss: lossOf(kind, logits, target) };
    })
    .filter(({ label, prediction }) => label !== prediction)
    .sort((a, b) => b.loss - a.loss || a.i - b.i)
    .slice(0, most)
    .map(({ i, ...rest }) => ({ ...rest, place: valid!.place(i), text: valid!.texts[i]!.join(" | ") }));
}

/** Longest text in the table of worst examples, in characters. */
const SHOWN = 100;

/** Everything about a run that is over, for people. */
export function outcomeText(outcome: Outcome, mostWorst: number): string {
  const pace = speed(outcome);
  const bad = worst(outcome, mostWorst);
  const steps = pace
    ? `${duration(pace.secondsPerStep)} a step, ${count(pace.tokensPerSecond)} tokens/s${pace.timesBound ? `, ${pace.timesBound.toFixed(2)} times the least` : ""}`
    : "";
  const worstRows = bad.map(({ place, label, prediction, loss, text }) => [
    place,
    label,
    prediction,
    loss.toFixed(3),
    text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text,
  ]);
  const parts = [
    epochTable(outcome),
    confusion(outcome),
    worstRows.length > 0 ? align([["worst", "label", "said", "loss", "text"], ...worstRows]) : [],
    [`${formatSeconds(outcome.seconds)} in all${steps === "" ? "" : `; ${steps}`}`],
  ];
  return parts
    .filter((part) => part.length > 0)
    .map((part) => `${part.map(printable).join("\n")}\n`)
    .join("\n");
}

/**
 * The same for programs: `output`, `epochs` as in the log, `epoch` whose weights were kept, `scores` and `loss` of the result,
 * `confusion`: examples by label (rows) and prediction (columns), or of several labels how often each `is`, was `said`, and `both`; `worst`, `seconds`, `seconds_per_step`, `tokens_per_second`, `times_bound`, `bytes` of memory.
 */
export function outcomeJson(outcome: Outcome, output: string | undefined, mostWorst: number): string {
  const { epochs, epoch, final, seconds, job, start } = outcome;
  const pace = speed(outcome);
  return `${JSON.stringify(
    {
      output: output ?? null,
      model: start.source,
      task: job.kind,
      labels: job.labels,
      epochs,
      epoch,
      loss: final?.loss ?? null,
      scores: final?.scores ?? null,
      confusion: confusionMatrix(outcome) ?? foundLabels(outcome) ?? null,
      worst: worst(outcome, mostWorst),
      seconds,
      seconds_per_step: pace?.secondsPerStep ?? null,
      tokens_per_second: pace?.tokensPerSecond ?? null,
      times_bound: pace?.timesBound ?? null,
      bytes: start.memory.total,
      isa: start.isa,
      threads: start.threads,
    },
    null,
    2,
  )}\n`;
}
