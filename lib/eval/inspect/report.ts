/** What `inspect` found, for people and for programs. */

import type { Pooling } from "../../../ffi/context.ts";
import { count, formatBytes, largest, percent, plural } from "../../base/numbers.ts";
import { quoted } from "../../base/printable.ts";
import { align } from "../../base/table.ts";
import type { SentenceSettings } from "../../model/sentence.ts";
import type { LayerUsage, PathUsage } from "./paths.ts";
import type { Feedforward, Summary } from "./summary.ts";

const TASKS: Readonly<Record<string, string>> = {
  mlm: "masked language model",
  classification: "classifier",
  "multi-label": "classifier of several labels",
  regression: "regression",
  embedding: "encoder without head",
};

const ended = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");

const POOLED: Readonly<Record<Pooling, string>> = {
  first: "the first token's",
  mean: "the mean of all tokens'",
  max: "the largest of all tokens'",
  lse: "the log of summed exponentials of all tokens'",
};

function sentenceText({ pooling, normalise, maxLength, prompt }: SentenceSettings, longest: number): string {
  const most = count(Math.min(maxLength ?? longest, longest));
  const scaled = normalise ? ", scaled to length 1" : "";
  const after = prompt === "" ? "" : `, after ${quoted(prompt)}`;
  return `${POOLED[pooling]} final state, at most ${most} tokens of a text${scaled}${after}`;
}

export function summaryText(summary: Summary): string {
  const { layers, hidden, heads, vocab, maxLength, sentence, tied, labels, parameters, tokenizer } = summary;
  const dtypes = [...new Set(summary.tensors.map(({ dtype }) => dtype))].join(", ");
  const kind = `${summary.family}, ${TASKS[summary.task] ?? summary.task}`;
  const rows: [string, string][] = [
    ["model", `${summary.source} (${summary.packed ? "packed" : "checkpoint"})`],
    ["kind", labels.length > 0 ? `${kind}: ${labels.map(quoted).join(", ")}` : kind],
    [
      "encoder",
      `${plural(layers, "layer")}, hidden ${count(hidden)}, ${plural(heads, "head")} of ${hidden / heads}`,
    ],
    ["text", `${count(vocab)} tokens known, at most ${count(maxLength)} in a text`],
    ...(sentence ? [["vectors", sentenceText(sentence, maxLength)] satisfies [string, string]] : []),
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
  ];
  return ended(align(rows));
}

function feedforwardText({ kind, neurons, used, trees, depth, leaves }: Feedforward): string {
  if (kind !== "trees") return `${kind}, ${plural(neurons, "neuron")}, all used for every token`;
  const each = trees === 1 ? "" : " each";
  return (
    `${plural(trees, "tree")} of depth ${depth} with ${count(leaves)} ${leaves === 1 ? "leaf" : "leaves"}${each}; ` +
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

export function tensorsText({ tensors }: Summary): string {
  const rows = tensors.map(({ name, role, dtype, shape, bytes }) => [
    quoted(name),
    role === name ? "" : role,
    dtype,
    `[${shape.join(", ")}]`,
    count(bytes),
  ]);
  rows.unshift(["tensor", "role", "dtype", "shape", "bytes"]);
  return ended(align(rows, (column) => column === 4));
}

/** Columns of the chart, at most. */
const COLUMNS = 64;
const BARS = " ▁▂▃▄▅▆▇█";

/** One bar a leaf, or a group of neighbouring ones; the square root of its share, so that rare leaves are seen. */
export function leafBars({ visits }: LayerUsage, depth: number): string {
  const leaves = visits.flatMap((tree) => [...tree.subarray(2 ** depth - 1)]);
  const width = Math.min(COLUMNS, leaves.length);
  const groups = new Array<number>(width).fill(0);
  leaves.forEach((n, i) => {
    groups[Math.floor((i * width) / leaves.length)]! += n;
  });
  const most = largest(groups);
  return groups.map((n) => BARS[Math.ceil(8 * Math.sqrt(n / most))]).join("");
}

export function pathsText({ texts, tokens, depth, layers }: PathUsage): string {
  const head = [
    "layer",
    "leaves",
    "entropy",
    "unused leaves",
    "path shared with the next token, a random one",
  ];
  const rows = layers.map((usage) => {
    const { layer, entropy, deadLeaves, leaves, sharedNext, sharedRandom } = usage;
    const next = Number.isNaN(sharedNext) ? "-" : sharedNext.toFixed(2);
    return [
      String(layer),
      leafBars(usage, depth),
      entropy.toFixed(2),
      `${count(deadLeaves)} of ${count(leaves)}`,
      `${next}, ${sharedRandom.toFixed(2)} of ${depth + 1}`,
    ];
  });
  return ended([
    `How ${plural(tokens, "token")} of ${plural(texts, "text")} fall through the trees:`,
    ...align([head, ...rows], (column) => [0, 2, 3].includes(column)),
    `Entropy is that of a token's leaf in bits, ${depth} at most; bars show square roots.`,
  ]);
}

/**
 * One JSON object: the summary (its tensors only if asked for), and under `paths` what `pathsText` shows, with the number of tokens that
 * ended in every leaf: `leaf_visits`, [trees][2^depth] in each layer.
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
