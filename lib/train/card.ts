/** The model card of a result: what it is, what it was trained on, and how to make it again. */
import { count, formatSeconds } from "../base/numbers.ts";
import { printable } from "../base/printable.ts";
import type { Outcome } from "./finetune.ts";
import { GLUE_SANE, type Recipe } from "./recipe.ts";
import { metricTitle } from "./validate.ts";

/** A file, or a set of them, that a model was trained or scored on. */
export interface CardData {
  name: string;
  rows: number;
  sha256?: string | undefined;
}

export interface CardOptions {
  /** What the model is called. */
  title: string;
  /** The command that made it, as typed. */
  command: string;
  /** Of this program. */
  version: string;
  data: readonly CardData[];
}

/** README.md of the result's folder, in Markdown. */
export function modelCard(outcome: Outcome, { title, command, version, data }: CardOptions): string {
  const { job, start, final, epoch, epochs, seconds } = outcome;
  const text = (value: string) => printable(value).replaceAll("|", "\\|");
  const labels = job.labels.map((label) => `\`${text(label)}\``).join(", ");
  const what = {
    classification: `tells ${labels} apart`,
    "multi-label": `says which of ${labels} are true of a text`,
    regression: "gives texts a score",
  }[job.kind];
  const scores = final
    ? [
        "| | |",
        "|---|---:|",
        ...job.metrics.map(
          (name) => `| ${metricTitle(name)} | ${(final.scores[name] ?? Number.NaN).toFixed(4)} |`,
        ),
        `| loss | ${final.loss.toFixed(4)} |`,
        "",
        `On ${count(job.valid!.targets.length)} examples that it was not trained on, with the weights of epoch ${epoch} of ${epochs.length}.`,
      ]
    : ["It was not scored: no examples were held out."];
  return `${[
    "---",
    "library_name: uffb",
    `pipeline_tag: text-classification`,
    "---",
    "",
    `# ${text(title)}`,
    "",
    `A model that ${what}, fine-tuned from ${text(start.source)}.`,
    "",
    "    uffb infer --model . < texts.txt",
    "",
    "## Scores",
    "",
    ...scores,
    "",
    "## Data",
    "",
    "| file | rows used | SHA-256 |",
    "|---|---:|---|",
    ...data.map(
      ({ name, rows, sha256 }) => `| ${text(name)} | ${count(rows)} | ${sha256 ? `\`${sha256}\`` : ""} |`,
    ),
    "",
    "## Settings",
    "",
    "| | |",
    "|---|---|",
    ...settings(start.recipe).map(([name, value]) => `| ${name} | ${value} |`),
    "",
    `Trained by uffb ${version} in ${formatSeconds(seconds)} on ${start.threads} CPU threads (${start.isa}), ${count(start.parameters)} parameters; \`training.jsonl\` has every step. The command:`,
    "",
    `    ${printable(command)}`,
  ].join("\n")}\n`;
}

/** All settings of a recipe, by the names of their flags. */
function settings(recipe: Recipe): [string, string][] {
  const flag = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return (Object.keys(GLUE_SANE) as (keyof Recipe)[]).map((key) => [flag(key), String(recipe[key])]);
}
