/** The names of the tokens that reach a leaf, below the leaves of a picture. */
import { fitText, round, spread, text, textWidth } from "../../base/svg.ts";
import type { PathUsage } from "./paths.ts";

export interface LeafLabel {
  leaf: number;
  /** What stands below each other, with the series of its colour. */
  lines: { text: string; series?: number }[];
}

/** Leaves that have a label where there are many tokens: the busiest. */
const MOST_LEAVES = 12;
/** Tokens that one of them names. */
const MOST_TOKENS = 4;
const LINE = 15;
const GAP = 10;
/** Height of the lines that lead from a leaf to its label. */
const LEADER = 22;
const WIDEST = 110;

/** Of few tokens each leaf that one reaches, with all of them; of many the busiest leaves, with their most frequent tokens. */
export function leafLabels({ walks }: PathUsage, layer: number, tree: number, few: boolean): LeafLabel[] {
  const leaves = Map.groupBy(
    walks.map(({ token, leaves }, i) => ({ token, i, leaf: leaves[layer]![tree]! })),
    ({ leaf }) => leaf,
  );
  if (few) {
    return [...leaves].map(([leaf, tokens]) => ({
      leaf,
      lines: tokens.map(({ token, i }) => ({ text: `${i + 1} ${token}`, series: i })),
    }));
  }
  const busiest = [...leaves].sort(([, a], [, b]) => b.length - a.length).slice(0, MOST_LEAVES);
  return busiest.map(([leaf, tokens]) => {
    const names = [...Map.groupBy(tokens, ({ token }) => token)].sort(([, a], [, b]) => b.length - a.length);
    const lines = names
      .slice(0, MOST_TOKENS)
      .map(([name, some]) => ({ text: some.length > 1 ? `${name} ×${some.length}` : name }));
    const more = names.length - lines.length;
    return { leaf, lines: more > 0 ? [...lines, { text: `+${more} more` }] : lines };
  });
}

export function leafLabelsHeight(labels: readonly LeafLabel[]): number {
  return LEADER + LINE * Math.max(0, ...labels.map(({ lines }) => lines.length));
}

interface Layout {
  /** Where the labels begin, and how wide all may be. */
  top: number;
  width: number;
  /** Where the bars begin, from which lines lead to the labels. */
  barsTop: number;
  place(leaf: number): number;
}

export function drawLeafLabels(
  labels: readonly LeafLabel[],
  { top, width, barsTop, place }: Layout,
): string[] {
  const widest = Math.min(WIDEST, width / Math.max(1, labels.length) - GAP);
  const shown = labels.map(({ leaf, lines }) => ({
    leaf,
    lines: lines.map((line) => ({ ...line, text: fitText(line.text, widest, "token") })),
  }));
  const sizes = shown.map(({ leaf, lines }) => ({
    at: place(leaf),
    size: GAP + Math.max(...lines.map((line) => textWidth(line.text, "token"))),
  }));
  const centres = spread(sizes, 0, width);
  return shown.flatMap(({ leaf, lines }, i) => [
    `<path class="grid" d="M${round(place(leaf))} ${barsTop}V${top}L${round(centres[i]!)} ${top + LEADER - 12}"/>`,
    ...lines.map((line, row) =>
      text(centres[i]!, top + LEADER + row * LINE, line.text, "token", {
        anchor: "middle",
        ...(line.series !== undefined && { series: line.series }),
      }),
    ),
  ]);
}
