import { count } from "../../../base/numbers.ts";
import { METRICS } from "../../metrics.ts";
import type { Comparison } from "../compare.ts";
import { points, signed, table } from "./table.ts";

/** What `uffb glue compare` prints for people. */
export function comparisonText(
  { examples, metrics, mcnemar }: Comparison,
  [a, b]: readonly [string, string],
  columns?: number,
): string {
  const rows = metrics.map(({ metric, ...m }) => [
    METRICS[metric].title,
    points(m.a),
    points(m.b),
    signed(m.difference),
    Number.isNaN(m.interval[0]) ? "–" : `${signed(m.interval[0])} to ${signed(m.interval[1])}`,
    probability(m.p),
  ]);
  const shown = table(["metric", "A", "B", "B - A", "95% interval", "p"], rows, { columns });
  const lines = [
    `A: ${a}`,
    `B: ${b}`,
    `${count(examples)} examples; intervals and p from a paired bootstrap`,
    "",
    shown.trimEnd(),
  ];
  if (mcnemar) {
    const { onlyA, onlyB, p } = mcnemar;
    lines.push(
      "",
      `right in A alone: ${onlyA}, in B alone: ${onlyB}; McNemar's exact test: p = ${probability(p)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

function probability(p: number): string {
  return Number.isNaN(p) ? "–" : p < 0.001 ? p.toExponential(1) : p.toFixed(3);
}
