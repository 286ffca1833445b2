import { count } from "../../../base/numbers.ts";
import { METRICS } from "../../metrics.ts";
import type { LadderReport } from "../glue.ts";
import { engine, points, table } from "./table.ts";

/** What `uffb glue --ladder` prints for people: a table a task. */
export function ladderText(reports: readonly LadderReport[], columns?: number): string {
  return reports.map((report) => ladderTable(report, columns)).join("\n");
}

/** Columns that a narrow terminal leaves out, the first first. */
const SPARE = ["ISA", "logit error", "tokens/s", "engine"];

function ladderTable(
  { task, ladder: { rungs, examples } }: LadderReport,
  columns: number | undefined,
): string {
  const slowest = rungs[0]!.run.seconds;
  const rows = rungs.map(({ name, run, score, logitError }) => [
    name,
    engine(run),
    (examples / run.seconds).toFixed(1),
    count(run.tokens / run.seconds),
    `${(slowest / run.seconds).toFixed(2)}x`,
    points(score),
    logitError === 0 ? "0" : logitError.toPrecision(2),
    run.isa,
  ]);
  const metric = METRICS[task.metrics[0]!].title;
  const title = `${task.title}, ${count(examples)} examples`;
  const head = [title, "engine", "examples/s", "tokens/s", "speed-up", metric, "logit error", "ISA"];
  return table(head, rows, { columns, spare: SPARE });
}

/** What `uffb glue --ladder --json` prints: the same numbers; padding does not count as tokens. */
export function ladderJson(reports: readonly LadderReport[]): string {
  const ladders = reports.map(({ task, model, ladder: { rungs, examples, fixedLength, warnings } }) => ({
    task: task.name,
    model,
    examples,
    fixed_length: fixedLength,
    rungs: rungs.map(({ name, run, score, logitError }) => ({
      name,
      seconds: run.seconds,
      tokens: run.tokens,
      threads: run.threads,
      instances: run.instances,
      isa: run.isa,
      score,
      logit_error: logitError,
      examples_per_second: examples / run.seconds,
      tokens_per_second: run.tokens / run.seconds,
      speed_up: rungs[0]!.run.seconds / run.seconds,
    })),
    warnings,
  }));
  return `${JSON.stringify({ ladders }, null, 2)}\n`;
}
