import { UffbError } from "../../base/errors.ts";
import type { Task } from "../../data/tasks.ts";
import type { ModelTask } from "../../model/config.ts";
import type { Model } from "../../model/model.ts";

/** Models that label no texts. */
const HEADLESS: Partial<Record<ModelTask, string>> = {
  mlm: "a masked language model",
  embedding: "an encoder",
  tokens: "a classifier of tokens",
  other: "an encoder with another head,",
};

/**
 * Checks that a model has the head a task needs, and finds which of its labels is which class: by their names, or, where these say nothing
 * or with `force`, in the order of both.
 * @returns order[class]: the model's label of that class; and a warning where only the position says so
 * @throws UffbError saying what the model has and what the task needs
 */
export function matchLabels(
  task: Task,
  { config, source }: Pick<Model, "config" | "source">,
  force = false,
): { order: number[]; warning?: string } {
  const needed = task.labels.length || 1;
  const needs = `${task.title} needs ${task.labels.length === 0 ? "one score" : `${needed} labels (${task.labels.join(", ")})`}`;
  const kind = HEADLESS[config.task];
  if (kind !== undefined) {
    throw new UffbError(
      `${source} is ${kind} without a classification head; ${needs}: give --model one fine-tuned for it${needed === 1 ? ", or add --cosine" : ""}`,
    );
  }
  const has = config.arch.labels;
  if (config.task === "multi-label")
    throw new UffbError(
      `${source} gives several labels at once; ${needs}: give --model one fine-tuned for it`,
    );
  if (has !== needed) {
    const what = has === 1 ? "one score" : `${has} labels (${config.labels.join(", ")})`;
    throw new UffbError(`${source} has ${what}; ${needs}: give --model one fine-tuned for it`);
  }
  const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const names = config.labels.map(plain);
  const order = task.labels.map((label) => names.indexOf(plain(label)));
  if (needed === 1) return { order: [0] };
  if (new Set(order).size === needed && !order.includes(-1)) return { order };
  const inOrder = task.labels.map((_, c) => c);
  if (names.every((name) => /^(label)?\d+$/.test(name))) return { order: inOrder };
  const differ = `${source} calls its labels ${config.labels.join(", ")}, and ${task.title} ${task.labels.join(", ")}`;
  if (!force)
    throw new UffbError(
      `${differ}: give --model one fine-tuned for it, or add --force where they mean the same in this order`,
    );
  return { order: inOrder, warning: `${differ}; they are taken in this order` };
}
