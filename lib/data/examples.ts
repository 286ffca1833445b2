import type { BadRow, Row } from "../rows/rows.ts";
import type { Task } from "./tasks.ts";

/** One example of a task. */
export interface Example {
  /** 0-based row of the split, rows that cannot be read counted; what the GLUE server calls index. */
  index: number;
  /** 1-based line (parquet: row) of the file. */
  line: number;
  /** The task's columns, in order; at least one. */
  texts: string[];
  /** Class number, or score of a regression; absent where the data set keeps it to itself. */
  label?: number;
  /** Which question the row belongs to, where several rows make one. */
  group?: string;
}

/** The example that a row holds, or the reason why it holds none. */
export function toExample(task: Task, row: Row, index: number): Example | BadRow {
  const { line } = row;
  const texts: string[] = [];
  for (const names of task.texts) {
    const value = row.get(names);
    if (typeof value === "string") texts.push(value);
    else if (typeof value === "number" || typeof value === "bigint") texts.push(String(value));
    else return { line, error: `no ${names[0]}` };
  }
  const example: Example = { index, line, texts };
  const label = toLabel(task, row.get(task.label));
  if (typeof label === "string") return { line, error: label };
  if (label !== undefined) example.label = label;
  if (task.group) {
    const group = task.group.map((name) => row.get([name]));
    if (group.some((part) => part === undefined)) return { line, error: `no ${task.group.join(" or ")}` };
    example.group = group.map(String).join("-");
  }
  return example;
}

/** The class number or score, undefined when there is none (the hub writes -1), or the reason why it is neither. */
function toLabel(task: Task, value: unknown): number | undefined | string {
  if (value === undefined || value === -1 || value === -1n || value === "-1") return undefined;
  if (!["string", "number", "bigint", "boolean"].includes(typeof value))
    return "a label that is neither text nor a number";
  const text = String(value).toLowerCase();
  const { labels } = task;
  if (labels.length === 0) {
    const score = text.trim() === "" ? Number.NaN : Number(text);
    return score >= 0 && score <= 5 ? score : `${shown(text)} is not a score from 0 to 5`;
  }
  const named = labels.indexOf(text);
  if (named >= 0) return named;
  const number = /^\d$/.test(text) ? Number(text) : labels.length;
  return number < labels.length ? number : `label ${shown(text)} is none of ${labels.join(", ")}`;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
