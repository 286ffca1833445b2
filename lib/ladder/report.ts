/** The table as Markdown, CSV and JSON. */
import { formatBytes } from "../base/numbers.ts";
import type { Task } from "../data/tasks.ts";
import { METRICS } from "../eval/metrics.ts";
import type { LadderResult, Step } from "./ladder.ts";

export interface LadderFacts {
  task: Task;
  examples: number;
  /** Dollars an hour of the machine. */
  price: number;
  cpu: string;
  command: string;
  /** Versions of the peer, where there is one. */
  peer?: string | undefined;
  /** Rows of each split that were used, where not all were. */
  limit?: number | undefined;
}

/** A line of the table. */
export interface Line {
  name: string;
  title: string;
  seconds: number;
  runs: number[];
  /** Over the first rung. */
  speedUp: number;
  /** Over the rung before; undefined for the first, and for what stands beside the ladder. */
  factor: number | undefined;
  score: number;
  bytes: number;
  /** Dollars for 100 million inferences. */
  cost: number;
}

const INFERENCES = 1e8;

export function linesOf(steps: readonly Step[], { price, examples }: LadderFacts): Line[] {
  let before: Step | undefined;
  return steps.map((step) => {
    const { rung, seconds, runs, score, bytes } = step;
    const factor = rung.beside || before === undefined ? undefined : before.seconds / seconds;
    if (!rung.beside) before = step;
    const speedUp = steps[0]!.seconds / seconds;
    const cost = ((seconds / examples) * INFERENCES * price) / 3600;
    return { name: rung.name, title: rung.title, seconds, runs, speedUp, factor, score, bytes, cost };
  });
}

/** The cells of the table for people, a head first. */
export function cellsOf(lines: readonly Line[], { task }: LadderFacts): string[][] {
  const head = [
    "rung",
    "seconds",
    "speed-up",
    "over the one before",
    METRICS[task.metrics[0]!].title,
    "size",
    "$ per 100 million",
  ];
  return [
    head,
    ...lines.map(({ title, seconds, speedUp, factor, score, bytes, cost }) => [
      title,
      seconds.toPrecision(3),
      `${speedUp.toFixed(1)}x`,
      factor === undefined ? "–" : `${factor.toFixed(2)}x`,
      (100 * score).toFixed(2),
      formatBytes(bytes),
      cost.toFixed(2),
    ]),
  ];
}

/** What a reader must know of the numbers. */
export function notesOf({ steps, left }: LadderResult, facts: LadderFacts): string[] {
  const { examples, cpu, peer, price, limit } = facts;
  const beside = steps.find(({ rung }) => rung.beside);
  const last = steps.at(-1);
  return [
    `Seconds for ${examples} examples of ${facts.task.title} dev, one at a time, from tokens to logits; on one thread, or where it says so on one a core; the median of up to ${Math.max(...steps.map(({ runs }) => runs.length))} runs. ${cpu}${peer ? `; ${peer}` : ""}.`,
    `Dollars are for a machine at $${price} an hour, whatever share of its cores is used.`,
    "Fixed length in uffb: the engine knows no padding, so pad tokens run beside each text as a sequence of their own. Attention does a little less work than with padding; scores are those of the texts alone.",
    ...(beside && last && !last.rung.beside
      ? [`From ${beside.rung.title} to the last rung: ${(beside.seconds / last.seconds).toFixed(1)}x.`]
      : []),
    ...(limit === undefined ? [] : [`A trial on the first ${limit} rows of each split: no result.`]),
    ...left.map((why) => `Left out: ${why}.`),
  ];
}

export function markdown(result: LadderResult, facts: LadderFacts): string {
  const [head, ...rows] = cellsOf(linesOf(result.steps, facts), facts);
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = `|---|${"---:|".repeat(head!.length - 1)}`;
  const table = [row(head!), rule, ...rows.map(row)];
  return `${[`# ${facts.task.title}: what each step brings`, "", ...table, "", ...notesOf(result, facts).flatMap((note) => [note, ""]), `    ${facts.command}`].join("\n")}\n`;
}

export function csv(result: LadderResult, facts: LadderFacts): string {
  const head = "rung,seconds,speed_up,factor,score,bytes,dollars_per_100_million";
  const lines = linesOf(result.steps, facts).map(({ name, seconds, speedUp, factor, score, bytes, cost }) =>
    [name, seconds, speedUp, factor ?? "", score, bytes, cost].join(","),
  );
  return `${[head, ...lines].join("\n")}\n`;
}

export function json(result: LadderResult, facts: LadderFacts): string {
  const { task, examples, price, cpu, command, peer, limit } = facts;
  const rungs = linesOf(result.steps, facts).map(({ speedUp, factor, cost, ...line }) => ({
    ...line,
    speed_up: speedUp,
    factor: factor ?? null,
    dollars_per_100_million: cost,
  }));
  const metric = task.metrics[0]!;
  const all = {
    task: task.name,
    metric,
    examples,
    price,
    cpu,
    peer,
    limit,
    command,
    rungs,
    notes: notesOf(result, facts),
  };
  return `${JSON.stringify(all, null, 2)}\n`;
}
