/** What `inspect` found, for people and for programs. */

import type { Pooling } from "../../../ffi/context.ts";
import { count, formatBytes, largest, percent, plural } from "../../base/numbers.ts";
import { printable, quoted } from "../../base/printable.ts";
import { fitTable } from "../../base/table.ts";
import { termLines, wrap } from "../../base/wrap.ts";
import type { LayerUsage, PathUsage, Walk } from "./paths.ts";
import type { Feedforward, ModuleSummary, SentenceSummary, Summary } from "./summary.ts";

const TASKS: Readonly<Record<string, string>> = {
  mlm: "masked language model",
  classification: "classifier",
  "multi-label": "classifier of several labels",
  regression: "regression",
  tokens: "classifier of tokens",
  embedding: "encoder without head",
  other: "encoder with a head that is not supported",
};

const ended = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");

const POOLED: Readonly<Record<Pooling, string>> = {
  first: "the first token's",
  mean: "the mean of all tokens'",
  max: "the largest of all tokens'",
  lse: "the log of summed exponentials of all tokens'",
  last: "the last token's",
  "mean-sqrt": "the sum of all tokens', divided by the square root of their number,",
  weighted: "the mean, weighted by position, of all tokens'",
};

function vectorText(sentence: SentenceSummary, longest: number): string {
  const { pooling, after, width, truncateDim, usual, maxLength } = sentence;
  const most = count(Math.min(maxLength ?? longest, longest));
  const pooled = pooling.poolings.map((name) => POOLED[name]).join(" and ");
  return [
    `${pooled} final state, at most ${most} tokens of a text`,
    ...(usual === "" ? [] : [`after ${quoted(usual)}`]),
    ...(pooling.includesPrompt ? [] : ["without the prompt's tokens"]),
    ...after.map(moduleText),
    ...(truncateDim === undefined || truncateDim >= width
      ? []
      : [`of that the first ${count(truncateDim)} numbers`]),
  ].join(", ");
}

function moduleText(module: ModuleSummary): string {
  switch (module.kind) {
    case "Dense": {
      const residual = module.residual ? " and a residual connection" : "";
      return `then a layer from ${count(module.inputs)} to ${count(module.outputs)} with ${module.activation}${residual}`;
    }
    case "LayerNorm":
      return "then LayerNorm";
    case "Normalize":
      return "scaled to length 1";
  }
}

/** Heads of all layers alike, or of each where they differ. */
function headsText({ heads, layerHeads, headSize }: Summary): string {
  const counts = layerHeads === null ? plural(heads, "head") : `${layerHeads.join(", ")} heads`;
  return `${counts} of ${headSize}`;
}

/** Prompts that are not empty, and how vectors are compared. */
function searchRows({ named, similarity }: SentenceSummary): [string, string][] {
  const prompts = Object.entries(named).filter(([, prompt]) => prompt !== "");
  return [
    ["compared by", similarity],
    ...prompts.map(([name, prompt], i): [string, string] => [
      i === 0 ? "prompts" : "",
      `${quoted(name)}: ${quoted(prompt)}`,
    ]),
  ];
}

/** A line or more for each fact, within the columns of a terminal, if there is one. */
export function summaryText(summary: Summary, columns = Number.POSITIVE_INFINITY): string {
  const { layers, hidden, vocab, maxLength, sentence, scoring, tied, labels, parameters, tokenizer } =
    summary;
  const longest = Math.min(maxLength, tokenizer?.maxLength ?? maxLength);
  const dtypes = [...new Set(summary.tensors.map(({ dtype }) => dtype))].join(", ");
  const kind = `${summary.family}, ${TASKS[summary.task] ?? summary.task}`;
  const rows: [string, string][] = [
    ["model", `${summary.source} (${summary.packed ? "packed" : "checkpoint"})`],
    ["kind", labels.length > 0 ? `${kind}: ${labels.map(quoted).join(", ")}` : kind],
    ...(scoring === undefined || scoring === "Identity"
      ? []
      : [["score", `${scoring} of the output`] satisfies [string, string]]),
    ["encoder", `${plural(layers, "layer")}, hidden ${count(hidden)}, ${headsText(summary)}`],
    ["text", `${count(vocab)} tokens known, at most ${count(longest)} in a text`],
    ...(sentence
      ? [
          [
            "vectors",
            vectorText(sentence, sentence.maxLength === undefined ? longest : maxLength),
          ] satisfies [string, string],
          ...searchRows(sentence),
        ]
      : []),
    ["feedforward", feedforwardText(summary.feedforward)],
    ["arithmetic", arithmeticText(summary.feedforward)],
    ["parameters", `${count(parameters.total)}${tied ? ", the word embedding also being the decoder" : ""}`],
    ...Object.entries(parameters.parts)
      .filter(([, n]) => n > 0)
      .map(([part, n]): [string, string] => [`  ${part}`, `${count(n)} (${percent(n / parameters.total)})`]),
    ["stored", `${plural(summary.tensors.length, "tensor")}, ${dtypes}, ${formatBytes(summary.bytes)}`],
    [
      "tokenizer",
      tokenizer ? `${count(tokenizer.vocabSize)} entries; ${specialsText(tokenizer.specials)}` : "none",
    ],
    ...titled(
      "read",
      summary.files.map(({ source, read }) => [source, read]),
    ),
    ...titled(
      "no effect",
      summary.files.map(({ source, nothing }) => [source, reasons(nothing)]),
    ),
    ...titled(
      "not known",
      summary.files.map(({ source, unknown }) => [source, unknown]),
    ),
  ];
  return ended(termLines(rows, { columns, indent: 0 }));
}

/** A row for each file with something to list, the first one under the title. */
function titled(title: string, files: [source: string, items: readonly string[]][]): [string, string][] {
  return files
    .filter(([, items]) => items.length > 0)
    .map(([source, items], i) => [
      i === 0 ? title : "",
      `${printable(source)}: ${printable(items.join(", "))}`,
    ]);
}

/** Keys with one reason stand together. */
function reasons(nothing: readonly { key: string; why: string }[]): string[] {
  const keys = new Map<string, string[]>();
  for (const { key, why } of nothing) keys.set(why, [...(keys.get(why) ?? []), ...(key === "" ? [] : [key])]);
  return [...keys].map(([why, found]) => (found.length === 0 ? why : `${found.join(", ")} (${why})`));
}

/** Of nodes that are not the published model's. */
const OUTPUTS: Readonly<Record<Feedforward["output"], string>> = {
  activation: "",
  logit: ", whose nodes put out their logits",
  after: ", the activation after their sum",
};

function feedforwardText({ kind, neurons, used, trees, depth, leaves, output, dense }: Feedforward): string {
  if (kind === "none") return "none; a block ends with attention";
  if (kind !== "trees") return `${kind}, ${plural(neurons, "neuron")}, all used for every token`;
  const each = trees === 1 ? "" : " each";
  const beside = dense > 0 ? `, beside a dense layer of ${count(dense)}` : "";
  return (
    `${plural(trees, "tree")} of depth ${depth} with ${count(leaves)} ${leaves === 1 ? "leaf" : "leaves"}${each}${OUTPUTS[output]}${beside}; ` +
    `a token uses ${count(used)} of ${plural(neurons, "neuron")} (${percent(used / neurons)})`
  );
}

function arithmeticText({ kind, speedup, macs }: Feedforward): string {
  const layer = `${count(macs.used)} multiply-adds a token and layer, beside ${count(macs.projections)} of attention's projections`;
  if (kind !== "trees") return layer;
  const whole = (macs.all + macs.projections) / (macs.used + macs.projections);
  return `${layer}; on paper ${speedup.toFixed(1)}x less than with all neurons, with the projections ${whole.toFixed(1)}x`;
}

function specialsText(specials: object): string {
  const known = Object.entries(specials as Record<string, { id: number; token: string }>);
  return (
    known.map(([role, { id, token }]) => `${role} ${quoted(token)} ${id}`).join(", ") || "no special tokens"
  );
}

/** Columns that a narrow terminal leaves out, the first first. */
export const SPARE_TENSORS = ["role", "bytes", "dtype"];

export function tensorsText({ tensors }: Summary, columns?: number): string {
  const rows = tensors.map(({ name, role, dtype, shape, bytes }) => [
    quoted(name),
    role === name ? "" : role,
    dtype,
    `[${shape.join(", ")}]`,
    count(bytes),
  ]);
  const head = ["tensor", "role", "dtype", "shape", "bytes"];
  return ended(fitTable(head, rows, { columns, spare: SPARE_TENSORS, right: (column) => column === 4 }));
}

/** Most columns of the chart of leaves, and those of a terminal that is too narrow for as many. */
const CHART = 64;
const NARROW_CHART = 32;
/** Columns that the other numbers beside the chart take. */
const BESIDE_CHART = 48;
const BARS = " ▁▂▃▄▅▆▇█";

/** One bar a leaf, or a group of neighbouring ones; the square root of its share, so that rare leaves are seen. */
export function leafBars({ visits }: LayerUsage, depth: number, most = CHART): string {
  const leaves = visits.flatMap((tree) => [...tree.subarray(2 ** depth - 1)]);
  const width = Math.min(most, leaves.length);
  const groups = new Array<number>(width).fill(0);
  leaves.forEach((n, i) => {
    groups[Math.floor((i * width) / leaves.length)]! += n;
  });
  const highest = largest(groups);
  return groups.map((n) => BARS[Math.ceil(8 * Math.sqrt(n / highest))]).join("");
}

/** How tokens spread over each layer's leaves, and the leaves of each token where there are not too many. */
export function pathsText(usage: PathUsage, columns = Number.POSITIVE_INFINITY): string {
  const { texts, tokens, depth, layers } = usage;
  const chart = columns < CHART + BESIDE_CHART ? NARROW_CHART : CHART;
  const rows = layers.map((layer) => [
    String(layer.layer),
    leafBars(layer, depth, chart),
    layer.entropy.toFixed(2),
    `${count(layer.deadLeaves)} of ${count(layer.leaves)}`,
    Number.isNaN(layer.sharedNext) ? "–" : layer.sharedNext.toFixed(2),
    layer.sharedRandom.toFixed(2),
  ]);
  const notes =
    `Leaves from left to right; a bar is the square root of its share of tokens. Entropy: of a token's leaf in bits, ${depth} at most. ` +
    `Unused: leaves that no token reached. Next, random: how many of the ${depth + 1} nodes of its path a token shares with the next one of its text, and with a random one.`;
  return ended([
    ...wrap(`How ${plural(tokens, "token")} of ${plural(texts, "text")} fall through the trees:`, columns),
    ...fitTable(["layer", "leaves", "entropy", "unused", "next", "random"], rows, {
      columns,
      right: (column) => column !== 1,
    }),
    ...wrap(notes, columns),
    ...(tokens <= MOST_SHOWN ? walksText(usage, columns) : []),
  ]);
}

/** Tokens whose leaves are printed one by one. */
const MOST_SHOWN = 64;

/** The title of the column of tokens, beside those of layers. */
const TOKEN = "token \\ layer";

/** A row for each token, a column for each layer, in as many tables as the width asks for. */
function walksText({ walks, layers, depth }: PathUsage, columns: number): string[] {
  const several = layers[0]!.visits.length > 1;
  const cell = ({ leaves }: Walk, layer: number) => leaves[layer]!.join("/");
  const name = ({ token }: Walk) => printable(token);
  const widest = largest([TOKEN, ...walks.map(name)].map((text) => Bun.stringWidth(text)));
  const each =
    2 + largest(layers.flatMap((_, layer) => walks.map((walk) => cell(walk, layer).length)).concat(2));
  const fit = Math.max(1, Math.floor((Math.min(columns, WIDEST_TABLE) - widest) / each));
  const tables = Array.from({ length: Math.ceil(layers.length / fit) }, (_, part) => {
    const some = layers.slice(part * fit, (part + 1) * fit).map(({ layer }) => layer);
    return [
      "",
      ...fitTable(
        [TOKEN, ...some.map(String)],
        walks.map((walk) => [name(walk), ...some.map((layer) => cell(walk, layer))]),
        { right: (column) => column > 0 },
      ),
    ];
  });
  const trees = several ? ", tree by tree" : "";
  return [
    "",
    ...wrap(
      `The leaf that each token reaches, of 0 at the left to ${count(2 ** depth - 1)}${trees}:`,
      columns,
    ),
    ...tables.flat().slice(1),
  ];
}

/** Wider tables of leaves are split although a line could be longer. */
const WIDEST_TABLE = 160;

/**
 * One JSON object: the summary (its tensors only if asked for), and under `paths` what `pathsText` shows, with the number of tokens that
 * ended in every leaf: `leaf_visits`, [trees][2^depth] in each layer. `walks` has the leaves of the first tokens, one by one.
 */
export function inspectJson(summary: Summary, paths: PathUsage | undefined, withTensors: boolean): string {
  const { tensors, tokenizer, ...rest } = summary;
  const layers = paths?.layers.map(({ visits, ...usage }) => {
    return { ...usage, leafVisits: visits.map((tree) => [...tree.subarray(2 ** paths.depth - 1)]) };
  });
  const value = {
    ...rest,
    tokenizer: tokenizer ?? null,
    ...(withTensors && { tensors }),
    ...(paths && { paths: { ...paths, layers } }),
  };
  return `${JSON.stringify(snakeCase(value))}\n`;
}

/** The same value with max_length for maxLength, as in all of this program's JSON; NaN and infinities become null. */
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCase(item),
    ]),
  );
}
