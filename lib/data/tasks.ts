import { UsageError } from "../base/errors.ts";

export const SPLITS = ["train", "dev", "test"] as const;
export type Split = (typeof SPLITS)[number];

/** The metrics that tasks are scored by; lib/eval/metrics.ts computes them. */
export const METRIC_NAMES = [
  "accuracy",
  "f1",
  "macro-f1",
  "matthews",
  "pearson",
  "spearman",
  "exact-match",
] as const;
export type MetricName = (typeof METRIC_NAMES)[number];

/**
 * One task of GLUE (Wang et al. 2018) or SuperGLUE (Wang et al. 2019): where its data lies, how a row becomes one input, and how it is
 * scored. A column has every name it is published under: the hub's first, then the benchmark's own; a dot descends into an object.
 */
export interface Task {
  /** As on the command line. */
  name: string;
  /** As in the papers. */
  title: string;
  suite: "glue" | "superglue";
  /** Folder of the benchmark's own archive. */
  folder: string;
  /** Folders on the hub. */
  configs: readonly string[];
  /** Comes after the split in a file name (`dev_matched.tsv`). */
  suffix?: string;
  /** Name of the one labelled file, of a task without splits; it is read as dev. */
  file?: string;
  /** Columns of the input. All but the last are joined by the separator token into text A; the last is B, or "" when there is one only. */
  texts: readonly (readonly string[])[];
  label: readonly string[];
  /** Columns by position, of files that have no header line. */
  headerless?: readonly string[];
  /** Class names in the order of class numbers; none for a regression. */
  labels: readonly string[];
  /** The first is the score of the task, as in the papers of cramming and UltraFastBERT. */
  metrics: readonly MetricName[];
  /** Rows of the published splits. */
  rows: Partial<Record<Split, number>>;
  /** A task on whose training set the checkpoint of this one is trained. */
  trainedOn?: string;
  /** What the GLUE server reads: a file and, for classes, their names or numbers. Absent where its format is another. */
  submission?: { file: string; labels: "names" | "numbers" };
  /** Columns that say which rows make one question. */
  group?: readonly string[];
}

const ENTAILMENT = ["entailment", "not_entailment"];
const FALSE_TRUE = ["false", "true"];
const SENTENCES = [["sentence1"], ["sentence2"]];
const PREMISE_HYPOTHESIS = [
  ["premise", "sentence1"],
  ["hypothesis", "sentence2"],
];
const MNLI = {
  suite: "glue",
  folder: "MNLI",
  texts: PREMISE_HYPOTHESIS,
  label: ["label", "gold_label"],
  labels: ["entailment", "neutral", "contradiction"],
  metrics: ["accuracy"],
  trainedOn: "mnli",
} as const;

/** Every task, in the order of the paper's table. Row counts are those of the published data sets. */
export const TASKS: readonly Task[] = [
  {
    ...MNLI,
    name: "mnli-m",
    title: "MNLI-m",
    configs: ["mnli"],
    suffix: "_matched",
    rows: { train: 392702, dev: 9815, test: 9796 },
    submission: { file: "MNLI-m.tsv", labels: "names" },
  },
  {
    ...MNLI,
    name: "mnli-mm",
    title: "MNLI-mm",
    configs: ["mnli"],
    suffix: "_mismatched",
    rows: { train: 392702, dev: 9832, test: 9847 },
    submission: { file: "MNLI-mm.tsv", labels: "names" },
  },
  {
    name: "qqp",
    title: "QQP",
    suite: "glue",
    folder: "QQP",
    configs: ["qqp"],
    texts: [["question1"], ["question2"]],
    label: ["label", "is_duplicate"],
    labels: ["not_duplicate", "duplicate"],
    metrics: ["f1", "accuracy"],
    rows: { train: 363846, dev: 40430, test: 390965 },
    submission: { file: "QQP.tsv", labels: "numbers" },
  },
  {
    name: "qnli",
    title: "QNLI",
    suite: "glue",
    folder: "QNLI",
    configs: ["qnli"],
    texts: [["question"], ["sentence"]],
    label: ["label"],
    labels: ENTAILMENT,
    metrics: ["accuracy"],
    rows: { train: 104743, dev: 5463, test: 5463 },
    submission: { file: "QNLI.tsv", labels: "names" },
  },
  {
    name: "sst2",
    title: "SST-2",
    suite: "glue",
    folder: "SST-2",
    configs: ["sst2"],
    texts: [["sentence"]],
    label: ["label"],
    labels: ["negative", "positive"],
    metrics: ["accuracy"],
    rows: { train: 67349, dev: 872, test: 1821 },
    submission: { file: "SST-2.tsv", labels: "numbers" },
  },
  {
    name: "stsb",
    title: "STS-B",
    suite: "glue",
    folder: "STS-B",
    configs: ["stsb"],
    texts: SENTENCES,
    label: ["label", "score"],
    labels: [],
    metrics: ["pearson", "spearman"],
    rows: { train: 5749, dev: 1500, test: 1379 },
    submission: { file: "STS-B.tsv", labels: "numbers" },
  },
  {
    name: "mrpc",
    title: "MRPC",
    suite: "glue",
    folder: "MRPC",
    configs: ["mrpc"],
    texts: [
      ["sentence1", "#1 String"],
      ["sentence2", "#2 String"],
    ],
    label: ["label", "Quality"],
    labels: ["not_equivalent", "equivalent"],
    metrics: ["f1", "accuracy"],
    rows: { train: 3668, dev: 408, test: 1725 },
    submission: { file: "MRPC.tsv", labels: "numbers" },
  },
  {
    name: "rte",
    title: "RTE",
    suite: "glue",
    folder: "RTE",
    configs: ["rte"],
    texts: SENTENCES,
    label: ["label"],
    labels: ENTAILMENT,
    metrics: ["accuracy"],
    rows: { train: 2490, dev: 277, test: 3000 },
    submission: { file: "RTE.tsv", labels: "names" },
  },
  {
    name: "cola",
    title: "CoLA",
    suite: "glue",
    folder: "CoLA",
    configs: ["cola"],
    texts: [["sentence"]],
    label: ["label"],
    headerless: ["source", "label", "notation", "sentence"], // train and dev; test has a header
    labels: ["unacceptable", "acceptable"],
    metrics: ["matthews", "accuracy"],
    rows: { train: 8551, dev: 1043, test: 1063 },
    submission: { file: "CoLA.tsv", labels: "numbers" },
  },
  {
    name: "wnli",
    title: "WNLI",
    suite: "glue",
    folder: "WNLI",
    configs: ["wnli"],
    texts: SENTENCES,
    label: ["label"],
    labels: ["not_entailment", "entailment"],
    metrics: ["accuracy"],
    rows: { train: 635, dev: 71, test: 146 },
    submission: { file: "WNLI.tsv", labels: "numbers" },
  },
  {
    name: "boolq",
    title: "BoolQ",
    suite: "superglue",
    folder: "BoolQ",
    configs: ["boolq"],
    texts: [["question"], ["passage"]],
    label: ["label"],
    labels: FALSE_TRUE,
    metrics: ["accuracy"],
    rows: { train: 9427, dev: 3270, test: 3245 },
  },
  {
    name: "cb",
    title: "CB",
    suite: "superglue",
    folder: "CB",
    configs: ["cb"],
    texts: [["premise"], ["hypothesis"]],
    label: ["label"],
    labels: ["entailment", "contradiction", "neutral"],
    metrics: ["macro-f1", "accuracy"],
    rows: { train: 250, dev: 56, test: 250 },
  },
  {
    name: "copa",
    title: "COPA",
    suite: "superglue",
    folder: "COPA",
    configs: ["copa"],
    texts: [["question"], ["premise"], ["choice1"], ["choice2"]],
    label: ["label"],
    labels: ["choice1", "choice2"],
    metrics: ["accuracy"],
    rows: { train: 400, dev: 100, test: 500 },
  },
  {
    name: "wic",
    title: "WiC",
    suite: "superglue",
    folder: "WiC",
    configs: ["wic"],
    texts: [["word"], ["sentence1"], ["sentence2"]],
    label: ["label"],
    labels: FALSE_TRUE,
    metrics: ["accuracy"],
    rows: { train: 5428, dev: 638, test: 1400 },
  },
  {
    name: "multirc",
    title: "MultiRC",
    suite: "superglue",
    folder: "MultiRC",
    configs: ["multirc"],
    texts: [["question"], ["paragraph"], ["answer"]],
    label: ["label"],
    labels: FALSE_TRUE,
    metrics: ["f1", "exact-match", "accuracy"], // F1a is the F1 over all answers
    rows: { train: 27243, dev: 4848, test: 9693 },
    group: ["idx.paragraph", "idx.question"],
  },
  {
    name: "super-rte",
    title: "RTE (SuperGLUE)",
    suite: "superglue",
    folder: "RTE",
    configs: ["rte"],
    texts: PREMISE_HYPOTHESIS,
    label: ["label"],
    labels: ENTAILMENT,
    metrics: ["accuracy"],
    rows: { train: 2490, dev: 277, test: 3000 },
    trainedOn: "rte",
  },
  {
    name: "wsc",
    title: "WSC",
    suite: "superglue",
    folder: "WSC",
    configs: ["wsc.fixed", "wsc"],
    texts: [
      ["text"],
      ["span1_index", "target.span1_index"],
      ["span2_index", "target.span2_index"],
      ["span1_text", "target.span1_text"],
      ["span2_text", "target.span2_text"],
    ],
    label: ["label"],
    labels: FALSE_TRUE,
    metrics: ["accuracy"],
    rows: { train: 554, dev: 104, test: 146 },
  },
  {
    name: "axb",
    title: "AX-b",
    suite: "superglue",
    folder: "AX-b",
    configs: ["axb"],
    file: "AX-b",
    texts: SENTENCES,
    label: ["label"],
    labels: ENTAILMENT,
    metrics: ["matthews", "accuracy"],
    rows: { dev: 1104 },
    trainedOn: "rte",
  },
  {
    name: "axg",
    title: "AX-g",
    suite: "superglue",
    folder: "AX-g",
    configs: ["axg"],
    file: "AX-g",
    texts: [["premise"], ["hypothesis"]],
    label: ["label"],
    labels: ENTAILMENT,
    metrics: ["accuracy"],
    rows: { dev: 356 },
    trainedOn: "rte",
  },
];

/** The rows of the paper's table, with CoLA, which its average leaves out. */
const PAPER = ["mnli-m", "mnli-mm", "qqp", "qnli", "sst2", "stsb", "mrpc", "rte", "cola"];

/** Names that stand for several tasks. */
const GROUPS: Record<string, readonly string[]> = { mnli: ["mnli-m", "mnli-mm"], all: PAPER };

/** Every name that `findTasks` takes, for help and errors. */
export const TASK_NAMES: readonly string[] = [...TASKS.map((task) => task.name), ...Object.keys(GROUPS)];

/**
 * The tasks that names on a command line mean, each once, in the order given. Case, dashes and underscores do not matter, so that the
 * papers' spellings work too. @throws UsageError for an unknown name
 */
export function findTasks(names: readonly string[]): Task[] {
  const found = names.flatMap((name) => {
    const key = TASK_NAMES.find((known) => plain(known) === plain(name));
    if (key === undefined)
      throw new UsageError(`"${name}" is not a task; the tasks are ${TASK_NAMES.join(", ")}`);
    return (GROUPS[key] ?? [key]).map((member) => TASKS.find((task) => task.name === member)!);
  });
  return [...new Set(found)];
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, "");
}

/** The task's name in a path such as `checkpoints/{task}`: that of the training set its checkpoint needs. */
export function checkpointName(task: Task): string {
  return task.trainedOn ?? task.name;
}
