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

/** What a model card says. Texts are Markdown. */
export interface Card extends CardOptions {
  /** The hub's name of the task. */
  tag: string;
  /** A sentence. */
  about: string;
  /** A command that runs the model. */
  usage: string;
  scores: readonly string[];
  /** What is counted of each file. */
  counted: string;
  settings: readonly (readonly [name: string, value: string])[];
  /** How long it was trained, and where. */
  made: string;
}

/** README.md of a result's folder, in Markdown. */
export function cardText({
  title,
  tag,
  about,
  usage,
  scores,
  counted,
  data,
  settings,
  made,
  command,
}: Card): string {
  return `${[
    "---",
    "library_name: uffb",
    `pipeline_tag: ${tag}`,
    "---",
    "",
    `# ${cell(title)}`,
    "",
    about,
    "",
    `    ${usage}`,
    "",
    "## Scores",
    "",
    ...scores,
    "",
    "## Data",
    "",
    `| file | ${counted} | SHA-256 |`,
    "|---|---:|---|",
    ...data.map(
      ({ name, rows, sha256 }) => `| ${cell(name)} | ${count(rows)} | ${sha256 ? `\`${sha256}\`` : ""} |`,
    ),
    "",
    "## Settings",
    "",
    "| | |",
    "|---|---|",
    ...settings.map(([name, value]) => `| ${name} | ${value} |`),
    "",
    `${made} The command:`,
    "",
    `    ${printable(command)}`,
  ].join("\n")}\n`;
}

/** Text that does not break a table. */
export function cell(text: string): string {
  return printable(text).replaceAll("|", "\\|");
}

/** A setting's name as its flag has it. */
export function flagOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The model card of a classifier. */
export function modelCard(outcome: Outcome, options: CardOptions): string {
  const { job, start, final, epoch, epochs, seconds } = outcome;
  const labels = job.labels.map((label) => `\`${cell(label)}\``).join(", ");
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
  return cardText({
    ...options,
    tag: "text-classification",
    about: `A model that ${what}, fine-tuned from ${cell(start.source)}.`,
    usage: "uffb infer --model . < texts.txt",
    scores,
    counted: "rows used",
    settings: (Object.keys(GLUE_SANE) as (keyof Recipe)[]).map((key) => [
      flagOf(key),
      String(start.recipe[key]),
    ]),
    made: `Trained by uffb ${options.version} in ${formatSeconds(seconds)} on ${start.threads} CPU threads (${start.isa}), ${count(start.parameters)} parameters; \`training.jsonl\` has every step.`,
  });
}
