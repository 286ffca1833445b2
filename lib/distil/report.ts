/** What a distillation says of itself, for people, for programs, and on the student's card. */
import { UFFB_TAP_EMBEDDING, UFFB_TAP_FINAL, UFFB_TAP_LAYER, UFFB_TAP_QK } from "../../ffi/bindings.ts";
import { count, formatSeconds, plural } from "../base/numbers.ts";
import { printable } from "../base/printable.ts";
import { align, numericColumns } from "../base/table.ts";
import { type CardOptions, cardText, cell, flagOf } from "../train/card.ts";
import { speed, startLines as trainLines } from "../train/report.ts";
import { type Judged, metricTitle } from "../train/validate.ts";
import type { DistilOutcome, DistilStart } from "./distil.ts";
import { DISTIL_TASK, type DistilRecipe } from "./recipe.ts";

/** What is to come, before the first step. */
export function startLines(start: DistilStart): string[] {
  const { teacher, places } = start;
  const of = (wanted: number) => places.filter(({ kind }) => kind === wanted);
  const layersOf = (kind: number) =>
    of(kind)
      .map(({ layer, teacherLayer }) => `${layer} to ${teacherLayer}`)
      .join(", ");
  const layers = layersOf(UFFB_TAP_LAYER);
  const attention = layersOf(UFFB_TAP_QK);
  const states = [
    ...of(UFFB_TAP_EMBEDDING).map(() => "the embedding's"),
    ...of(UFFB_TAP_FINAL).map(() => "final ones"),
    ...(layers ? [`those after layers ${layers}`] : []),
  ];
  const compared = [
    ...(states.length > 0 ? [`states are compared, student's to its: ${states.join(", ")}`] : []),
    ...(attention ? [`attention is compared, student's to its: of layers ${attention}`] : []),
  ];
  const how =
    compared.length === 0
      ? "its outputs are computed once"
      : `${compared.join("; ")}; it runs beside the student`;
  return [`the teacher is ${teacher}; ${how}`, ...errorLines(start), ...trainLines(start)];
}

function errorLines({ errors }: DistilStart): string[] {
  if (errors === undefined) return [];
  const { before, after } = errors;
  const shares = (of: readonly number[]) => of.map((share) => share.toFixed(3)).join(" ");
  const was = before.join() === after.join() ? "" : `; before it was trained alone ${shares(before)}`;
  return [
    `each layer's feedforward half is off by this share of the variance behind its LayerNorm: ${shares(after)}${was}`,
  ];
}

interface Row {
  name: string;
  judged: Judged;
}

/** The student and its teacher on the texts to validate on. */
function scoreRows({ data, final, ofTeacher }: DistilOutcome): string[][] {
  if (final === undefined || ofTeacher === undefined) return [];
  const both: Row[] = [
    { name: "teacher", judged: ofTeacher },
    { name: "student", judged: final },
  ];
  const header = ["", ...data.metrics.map(metricTitle), lossTitle(data.compared)];
  const rows = both.map(({ name, judged }) => [
    name,
    ...data.metrics.map((metric) => (judged.scores[metric] ?? Number.NaN).toFixed(4)),
    judged.loss.toFixed(4),
  ]);
  return [header, ...rows];
}

const lossTitle = (compared: string) => (compared === "vectors" ? "1 - cosine with the teacher" : "loss");

export function outcomeText(outcome: DistilOutcome): string {
  const { data, epochs, epoch, seconds } = outcome;
  const title = data.compared === "vectors" ? lossTitle(data.compared) : "valid. loss";
  const header = ["epoch", "loss", title, ...data.metrics.map(metricTitle), ""];
  const rows = epochs.map(({ epoch: number, train_loss, valid_loss, scores = {} }) => [
    String(number),
    train_loss.toFixed(4),
    valid_loss?.toFixed(4) ?? "–",
    ...data.metrics.map((metric) => scores[metric]?.toFixed(4) ?? "–"),
    number === epoch && epochs.length > 1 ? "kept" : "",
  ]);
  const scores = scoreRows(outcome);
  const pace = speed(outcome);
  const parts = [
    align([header, ...rows], numericColumns(rows.map((row) => row.slice(0, -1)))),
    scores.length > 0 ? align(scores, numericColumns(scores.slice(1))) : [],
    [`${formatSeconds(seconds)} in all${pace ? `; ${count(pace.tokensPerSecond)} tokens/s` : ""}`],
  ];
  return parts
    .filter((part) => part.length > 0)
    .map((part) => `${part.map(printable).join("\n")}\n`)
    .join("\n");
}

/**
 * The same for programs: `output`, `teacher`, `student`, `compared`, `layer_errors` of feedforward halves that are not the teacher's as
 * shares of the variance behind the LayerNorm, `before` and `after` they were trained alone, or null, `parameters`, `epochs` as in the log, `epoch` whose weights were kept,
 * `loss` and `scores` of the student and `teacher_loss` and `teacher_scores` on the texts to validate on, `seconds`, `tokens_per_second`.
 */
export function outcomeJson(outcome: DistilOutcome, output: string | undefined): string {
  const { start, data, epochs, epoch, final, ofTeacher, seconds } = outcome;
  return `${JSON.stringify(
    {
      output: output ?? null,
      teacher: start.teacher,
      student: start.source,
      compared: data.compared,
      layer_errors: start.errors ?? null,
      parameters: start.parameters,
      epochs,
      epoch,
      loss: final?.loss ?? null,
      scores: final?.scores ?? null,
      teacher_loss: ofTeacher?.loss ?? null,
      teacher_scores: ofTeacher?.scores ?? null,
      seconds,
      tokens_per_second: speed(outcome)?.tokensPerSecond ?? null,
      isa: start.isa,
      threads: start.threads,
    },
    null,
    2,
  )}\n`;
}

const TAGS = { vectors: "sentence-similarity", other: "text-classification" };

/** The student's model card. */
export function distilCard(outcome: DistilOutcome, options: Omit<CardOptions, "data">): string {
  const { start, data, final, epoch, epochs, seconds } = outcome;
  const vectors = data.compared === "vectors";
  const table = scoreRows(outcome).map((row) => `| ${row.join(" | ")} |`);
  const [header, ...rows] = table;
  const scores =
    header === undefined || final === undefined
      ? ["It was not scored: no texts were held out."]
      : [
          header,
          `|---|${"---:|".repeat(data.metrics.length + 1)}`,
          ...rows,
          "",
          `On ${plural(data.valid!.texts.length, "text")} that it was not trained on, with the weights of epoch ${epoch} of ${epochs.length}.`,
        ];
  return cardText({
    ...options,
    data: data.files,
    tag: vectors ? TAGS.vectors : TAGS.other,
    about: `A smaller model that ${vectors ? "makes sentence vectors" : "classifies"} as ${cell(start.teacher)} does, distilled from it; it began as ${cell(start.source)}.`,
    usage: vectors ? "uffb infer --model . --embed < texts.txt" : "uffb infer --model . < texts.txt",
    scores,
    counted: "texts",
    settings: (Object.keys(DISTIL_TASK) as (keyof DistilRecipe)[]).map((key) => [
      flagOf(key),
      String(start.recipe[key]),
    ]),
    made: `Trained by uffb ${options.version} in ${formatSeconds(seconds)} on ${start.threads} CPU threads (${start.isa}), ${count(start.parameters)} parameters; \`training.jsonl\` has every step.`,
  });
}
