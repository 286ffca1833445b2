import { probe } from "../../ffi/bench.ts";
import { isas } from "../../ffi/engine.ts";
import { percent } from "../base/numbers.ts";
import { mean } from "../base/statistics.ts";
import { align } from "../base/table.ts";
import type { Converted } from "./convert.ts";
import type { Cost } from "./cost.ts";
import { hasRows } from "./kinds.ts";

const WHY = {
  tied: "a copy of the word embedding",
  twice: "a copy of another tensor",
  head: "belongs to a head that is not in use",
  buffer: "computed from the config",
  foreign: "no part of the model",
  unknown: "unknown, left out",
} as const;

interface Row {
  cells: [name: string, tensor: string, role: string, stored: string];
  layers: number[];
}

/** A table of where each tensor of the checkpoint went, the same tensor of all layers in one line. */
export function roleLines({ weights, unused }: Converted): string[] {
  const rows = new Map<string, Row>();
  const add = (name: string, ...rest: [tensor: string, role: string, stored: string]) => {
    const layer = /\.(\d+)\./.exec(name)?.[1];
    const cells = [name, ...rest].map((cell) => cell.replace(`.${layer}.`, ".*.")) as Row["cells"];
    const key = cells.join("\n");
    const row = rows.get(key) ?? { cells, layers: [] };
    rows.set(key, row);
    if (layer !== undefined) row.layers.push(Number(layer));
  };
  for (const { binding, dtype } of weights) {
    const { name, tensor, wanted } = binding;
    const stored = dtype === "I8" && hasRows(wanted) ? "I8, and rows in F16" : dtype;
    add(name, `${tensor.dtype} [${tensor.shape.join(", ")}]`, wanted.name, stored);
  }
  for (const { name, why } of unused) add(name, "", WHY[why], "");
  return align(
    [...rows.values()].map(({ cells, layers }) =>
      cells.map((cell) => cell.replace(".*.", `.${ranges(layers)}.`)),
    ),
  );
}

/** 0-3,5 for 0, 1, 2, 3 and 5. */
function ranges(numbers: readonly number[]): string {
  const parts: [first: number, last: number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join();
}

/** What a narrower dtype costs, in words and numbers. */
export function costLines(cost: Cost, dtype: string): string[] {
  const { sentences, tokens, paths, error, answers, same } = cost;
  const lines = [`What ${dtype} changes, on ${sentences} built-in sentences of ${tokens} tokens:`];
  if (paths.length > 0) {
    lines.push(
      `  paths     ${percent(mean(paths))} changed; by layer: ${paths.map((share) => percent(share)).join(" ")}`,
    );
  }
  const { of, max, rms, largest } = error;
  lines.push(
    `  ${of.padEnd(7)}   by ${max.toPrecision(2)} at most, ${rms.toPrecision(2)} on average (rms); the largest is ${largest.toPrecision(3)}`,
  );
  if (answers > 0)
    lines.push(
      `  answers   ${answers - same} of ${answers} changed: ${percent(same / answers)} have the same best one`,
    );
  return lines;
}

/** What the arithmetic of int8 gains on this CPU, measured in an instant. */
export function speedLine(): string {
  const gain = probe("int8", 1, 0.1) / probe("flops", 1, 0.1);
  return `This CPU multiplies in int8 ${gain.toFixed(1)} times as fast as in f32 (${isas()[0]}); whole models gain less`;
}
