/** The table as Markdown, CSV and JSON. */
import { formatBytes, plural } from "../base/numbers.ts";
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
  rounds: number[];
  /** Over the first rung. */
  speedUp: number;
  /** Over the rung before that later ones are made of; undefined for the first, and for what stands beside the ladder. */
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
    const { rung, aside, seconds, rounds, score, bytes } = step;
    const factor = rung.beside || before === undefined ? undefined : before.seconds / seconds;
    if (!rung.beside && !aside) before = step;
    const speedUp = steps[0]!.seconds / seconds;
    const cost = ((seconds / examples) * INFERENCES * price) / 3600;
    const title = `${rung.title}${aside ? ": set aside" : ""}`;
    return { name: rung.name, title, seconds, rounds, speedUp, factor, score, bytes, cost };
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
export function notesOf({ steps, trials, left }: LadderResult, facts: LadderFacts): string[] {
  const { task, examples, cpu, peer, price, limit } = facts;
  const beside = steps.find(({ rung }) => rung.beside);
  const [first, last] = [steps[0], steps.at(-1)];
  const sampled = steps.find((step) => step.examples < examples);
  const metric = METRICS[task.metrics[0]!].title;
  const points = (share: number) => `${(100 * share).toFixed(2)} points of ${metric}`;
  return [
    `Seconds for ${examples} examples of ${task.title} dev, one at a time, from tokens to logits; on one thread, or where it says so on one a core. All rungs took turns; the median of ${plural(steps[0]?.rounds.length ?? 0, "round")}. ${cpu}${peer ? `; ${peer}` : ""}.`,
    ...(sampled
      ? [
          `Of fixed length each round ran ${sampled.examples} examples spread over all, which cost the same, and their seconds are scaled to all; scores are those of all, without padding.`,
        ]
      : []),
    `Dollars are for a machine at $${price} an hour, whatever share of its cores is used.`,
    "Fixed length in uffb: the engine knows no padding, so pad tokens run beside each text as a sequence of their own. Attention does a little less work than with padding.",
    ...(first && last && first !== last && !last.rung.beside
      ? [
          `From ${first.rung.title} to the last rung: ${(first.seconds / last.seconds).toFixed(1)}x, and ${points(first.score - last.score)} lost.`,
        ]
      : []),
    ...(beside && last && !last.rung.beside
      ? [`From ${beside.rung.title} to the last rung: ${(beside.seconds / last.seconds).toFixed(1)}x.`]
      : []),
    ...trials.map(
      ({ title, faster, lost, pays }) =>
        `${title}: in turns with the model before, ${faster.toFixed(2)} times as fast, and ${points(lost)} lost against the teacher. ${pays ? "That pays, and later rungs have them; whether plain layers narrowed until they are as fast would do as well, --prune-width tells." : "That does not pay: plain narrow dense layers win here, and later rungs are made of the model before."}`,
    ),
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
