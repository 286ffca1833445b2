/** The same training with several seeds: how much of a score is chance. */

import { deviation, median } from "../base/statistics.ts";
import type { MetricName } from "../data/tasks.ts";
import type { TaskReport } from "../eval/glue/glue.ts";
import { PUBLISHED } from "../eval/glue/published.ts";
import { points, table } from "../eval/glue/report/table.ts";
import { modelName, paperTable } from "../eval/glue/report/tasks.ts";
import { METRICS } from "../eval/metrics.ts";

export interface SeedRun {
  seed: number;
  /** Of each task that could be run. */
  reports: readonly TaskReport[];
}

export interface Spread {
  task: string;
  title: string;
  metric: MetricName;
  /** In the order of the seeds. */
  values: number[];
  median: number;
  /** Standard deviation of a sample: divided by one less than the runs. */
  deviation: number;
  min: number;
  max: number;
}

/** Of each metric of each task, the task's score first. */
export function spreads(runs: readonly SeedRun[]): Spread[] {
  const all = new Map<string, Omit<Spread, "median" | "deviation" | "min" | "max">>();
  for (const { evaluation } of runs.flatMap(({ reports }) => reports)) {
    const { name, title } = evaluation.dataset.task;
    for (const { metric, value } of evaluation.metrics) {
      const key = `${name} ${metric}`;
      if (!all.has(key)) all.set(key, { task: name, title, metric, values: [] });
      all.get(key)!.values.push(value);
    }
  }
  return [...all.values()].map((one) => ({
    ...one,
    median: median(one.values),
    deviation: deviation(one.values),
    min: Math.min(...one.values),
    max: Math.max(...one.values),
  }));
}

/** Each task's scores are those of its first metric. */
function scores(all: readonly Spread[]): Map<string, number> {
  return new Map(all.toReversed().map(({ task, median }) => [task, median]));
}

export function seedsText(runs: readonly SeedRun[], columns?: number): string {
  const all = spreads(runs);
  const rows = all.map(({ title, metric, values, median, deviation, min, max }, i) => [
    all[i - 1]?.title === title ? "" : title,
    METRICS[metric].title,
    ...[median, deviation, min, max].map(points),
    String(values.length),
  ]);
  const name = `${modelName(runs.flatMap(({ reports }) => reports))}, median`;
  const parts = [
    table(["task", "metric", "median", "deviation", "least", "most", "seeds"], rows, {
      columns,
      spare: ["deviation", "seeds"],
    }),
    paperTable(name, scores(all), columns),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

/** `seeds`, `tasks`: of each metric `{ task, metric, median, deviation, min, max, values }`, and `published` as without seeds. */
export function seedsJson(runs: readonly SeedRun[]): string {
  const tasks = spreads(runs).map(({ title: _, ...rest }) => rest);
  return `${JSON.stringify({ seeds: runs.map(({ seed }) => seed), tasks, published: PUBLISHED }, null, 2)}\n`;
}
