/** The record of runs: a line of JSON each, so that many short ones can be summed. */
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Slice } from "./worker.ts";

export interface Run {
  /** When it ended, UTC. */
  date: string;
  /** Of what was fuzzed; with a plus sign where files differed from it. */
  commit: string;
  seed: number;
  /** Of the processor, all workers together. */
  seconds: number;
  cases: number;
  /** That went wrong. */
  findings: number;
  /** Cases of each target. */
  targets: Record<string, number>;
}

export type Totals = Record<string, Pick<Slice, "read" | "refused" | "seconds">>;

export function readRuns(path: string): Run[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Run);
}

/** A seed that no run of the record had: its cases are new. */
export function freshSeed(runs: readonly Run[]): number {
  return 1 + runs.reduce((most, { seed }) => Math.max(most, seed), 0);
}

export function addRun(path: string, seed: number, totals: Totals, findings: number): void {
  const counts = Object.entries(totals).map(([name, { read, refused }]) => [name, read + refused] as const);
  const run: Run = {
    date: new Date().toISOString().slice(0, 19),
    commit: commit(),
    seed,
    seconds: Math.round(sum(Object.values(totals).map(({ seconds }) => seconds))),
    cases: sum(counts.map(([, count]) => count)),
    findings,
    targets: Object.fromEntries(counts),
  };
  appendFileSync(path, `${JSON.stringify(run)}\n`);
}

/** What all runs of a record come to, in lines for people. */
export function summary(runs: readonly Run[]): string {
  const names = [...new Set(runs.flatMap(({ targets }) => Object.keys(targets)))];
  const total = (of: (run: Run) => number | undefined) => sum(runs.map((run) => of(run) ?? 0));
  return [
    ...names.map((name) => `${name}: ${total(({ targets }) => targets[name])}`),
    `${runs.length} runs: ${total(({ cases }) => cases)} cases in ${total(({ seconds }) => seconds)} s, ${total(({ findings }) => findings)} went wrong`,
  ].join("\n");
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

function commit(): string {
  const git = (...args: string[]) =>
    execFileSync("git", args, {
      cwd: import.meta.dir,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":!runs.jsonl");
    return git("rev-parse", "--short=10", "HEAD") + (changed === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}
