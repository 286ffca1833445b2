/** Small data to fine-tune on. */
import type { Job } from "../lib/train/finetune.ts";
import { metricsOf } from "../lib/train/validate.ts";

const GOOD = ["a good film", "great fun", "a lovely story", "fine acting", "wonderful music"];
const BAD = ["a bad film", "a boring mess", "an awful story", "poor acting", "terrible music"];

/** Reviews of two classes in turn, the text of each with a number of its own. */
export function reviews(count: number): { text: string; label: "good" | "bad" }[] {
  return Array.from({ length: count }, (_, i) => ({
    text: `${(i % 2 === 0 ? GOOD : BAD)[Math.floor(i / 2) % GOOD.length]}, number ${i}`,
    label: i % 2 === 0 ? "good" : "bad",
  }));
}

/** The same as CSV. */
export function reviewsCsv(count: number): string {
  return `text,label\n${reviews(count)
    .map(({ text, label }) => `"${text}",${label}\n`)
    .join("")}`;
}

/** The same as something to learn, a few of them to validate on. */
export function reviewJob(count: number, valid = 8): Job {
  const labels = ["bad", "good"];
  const texts = (all: ReturnType<typeof reviews>) => ({
    texts: all.map(({ text }) => [text]),
    targets: all.map(({ label }) => labels.indexOf(label)),
    place: (i: number) => `reviews.csv:${i + 2}`,
  });
  return {
    kind: "classification",
    labels,
    train: texts(reviews(count)),
    valid: valid > 0 ? texts(reviews(count + valid).slice(count)) : undefined,
    metrics: metricsOf("classification", 2),
    judge: "accuracy",
    data: {},
  };
}
