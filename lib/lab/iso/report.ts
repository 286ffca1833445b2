/** The results, for people and for programs. */
import { count, plural } from "../../base/numbers.ts";
import type { Plan } from "./plan.ts";
import { type Row, type Spread, spread } from "./results.ts";

const micro = (seconds: number) => (1e6 * seconds).toPrecision(3);
const around = ({ mean, deviation }: Spread, digits: number, times = 1) =>
  `${(times * mean).toFixed(digits)}${deviation > 0 ? ` ± ${(times * deviation).toFixed(digits)}` : ""}`;

/** One row a model: what it predicts, and what it costs. */
export function csv(rows: readonly Row[]): string {
  const head =
    "shape,active_neurons,parameters,seeds,loss,loss_deviation,accuracy,accuracy_deviation,routing_bits,seconds_per_token_alone,seconds_per_token_batched";
  const lines = rows.map(({ name, active, parameters, seeds, loss, accuracy, bits, alone, batched }) =>
    [
      ...[name, active, parameters, seeds, loss.mean, loss.deviation, accuracy.mean, accuracy.deviation],
      ...[bits ?? "", alone, batched],
    ].join(","),
  );
  return `${[head, ...lines].join("\n")}\n`;
}

const isDense = ({ name }: Row) => /^dense:\d+$/.test(name);
const hasTrees = ({ name }: Row) => /\d+x\d+/.test(name);
const leastBy = <T>(values: readonly T[], of: (value: T) => number): T | undefined =>
  values.reduce<T | undefined>(
    (least, value) => (least !== undefined && of(least) <= of(value) ? least : value),
    undefined,
  );

/** How a model's loss differs from a control's, seed by seed: "0.021 ± 0.003 nats better". */
function against({ losses }: Row, control: Row): string {
  const { mean, deviation } = spread(losses.map((loss, i) => control.losses[i]! - loss));
  const apart = deviation > 0 ? ` ± ${deviation.toFixed(3)}` : "";
  return `${Math.abs(mean).toFixed(3)}${apart} nats ${mean >= 0 ? "better" : "worse"}`;
}

/**
 * A sentence about each model of trees, whichever way it fell, against three controls that were trained alike: no feedforward layer, the
 * dense layer whose active neurons are nearest in number, and the best dense layer whose model takes no longer.
 */
export function findings(rows: readonly Row[]): string[] {
  const none = rows.find(({ name }) => name === "none");
  const dense = rows.filter(isDense);
  return rows.filter(hasTrees).map((row) => {
    const near = leastBy(dense, ({ active }) => Math.abs(Math.log(active / row.active)));
    const fast = leastBy(
      dense.filter(({ batched }) => batched <= row.batched),
      ({ loss }) => loss.mean,
    );
    const parts = [
      ...(none ? [`${against(row, none)} than no feedforward layer`] : []),
      ...(near ? [`${against(row, near)} than ${near.name}, with ${row.active} active neurons`] : []),
      ...(fast ? [`${against(row, fast)} than ${fast.name}, the best dense layer that takes no longer`] : []),
    ];
    return `${row.name}: ${parts.join("; ") || "no control was trained"}`;
  });
}

export interface ReportFacts {
  /** The command that was typed, and where it ran. */
  command: string;
  machine: string;
  /** Threads of the measurement. */
  threads: number;
  corpus: string;
}

/** A page: what was done, the picture, the table, the findings. */
export function markdown(
  plan: Plan,
  rows: readonly Row[],
  { command, machine, threads, corpus }: ReportFacts,
): string {
  const { shape, recipe, seeds } = plan;
  const { layers, hidden, heads } = shape;
  const predicts = recipe.causal >= 1 ? "the next token" : "masked tokens";
  const head = [
    "feedforward",
    "active neurons",
    "parameters",
    "loss (nats)",
    "accuracy (%)",
    "bits of routing",
    "µs a token, one sequence",
    "µs a token, 32 sequences",
  ];
  const cells = rows.map((row) => [
    `\`${row.name}\``,
    count(row.active),
    count(row.parameters),
    around(row.loss, 4),
    around(row.accuracy, 2, 100),
    row.bits?.toFixed(1) ?? "",
    micro(row.alone),
    micro(row.batched),
  ]);
  const line = (row: readonly string[]) => `| ${row.join(" | ")} |`;
  const columns = line(head.map((_, i) => (i === 0 ? "---" : "---:")));
  return `# What a feedforward layer is worth

Models with ${plural(layers, "layer")} of hidden ${hidden} and ${plural(heads, "head")}, which differ in their feedforward layers alone, each trained on the same
${count(recipe.budget.amount)} ${recipe.budget.unit} of ${corpus} with ${plural(seeds, "seed")}, to predict ${predicts}. Loss and accuracy are those on
text that was held out; ± is the standard deviation over seeds, of differences that of their difference seed by seed. Times are medians on ${threads === 1 ? "one thread" : `${threads} threads`} of ${machine}, from ids to
final states, the models in turn.

![Loss and accuracy against time and active neurons](iso.svg)

${[line(head), columns, ...cells.map(line)].join("\n")}

\`KxD\` are K trees of depth D; \`:linear\` nodes put out their logits, \`:after\` those, too, and the layer the
activation of their sum; \`:balanced\` trees had their biases moved after each update,
\`:noisy\` ones noise on their branches, less and less until the end;
\`dense:W+KxD\` is a dense layer of W neurons beside trees.

${findings(rows)
  .map((text) => `- ${text}`)
  .join("\n")}

    ${command}
`;
}
