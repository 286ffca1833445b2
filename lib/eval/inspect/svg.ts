/** A picture of a model's trees: every branch as wide as the share of tokens that take it. */
import { largest } from "../../base/numbers.ts";
import type { PathUsage } from "./paths.ts";

const WIDTH = 960;
const LEVEL_HEIGHT = 22;
const BAR_HEIGHT = 40;
const MARGIN = 24;
/** Deeper levels would be less than two units apart; their leaves are shown as bars all the same. */
const DRAWN_LEVELS = 9;
/** Trees of a layer that are drawn. */
const MAX_TREES = 8;
const BRANCH_WIDTH = 12;

const round = (value: number) => Number(value.toFixed(2));

interface Panel {
  title: string;
  /** [2^(depth+1) - 1] */
  visits: Float64Array;
}

/** An SVG document: a panel for each tree of each layer, the root on top, leaf usage as bars below. */
export function pathsSvg({ depth, layers, tokens }: PathUsage, title: string): string {
  const panels = layers.flatMap(({ layer, visits, entropy }): Panel[] =>
    visits.slice(0, MAX_TREES).map((tree, k) => {
      const which = visits.length > 1 ? `, tree ${k + 1} of ${visits.length}` : "";
      return {
        title: `layer ${layer}${which}: entropy ${entropy.toFixed(2)} of ${depth} bits`,
        visits: tree,
      };
    }),
  );
  const levels = Math.min(depth, DRAWN_LEVELS);
  const height = MARGIN + levels * LEVEL_HEIGHT + BAR_HEIGHT + MARGIN;
  const body = panels.map((panel, i) => {
    return `<g transform="translate(${MARGIN} ${2 * MARGIN + i * height})">\n${drawPanel(panel, depth, levels)}</g>\n`;
  });
  const size = `${WIDTH + 2 * MARGIN} ${2 * MARGIN + panels.length * height}`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}" font-family="sans-serif" font-size="12" stroke-linecap="round">\n` +
    `<rect width="100%" height="100%" fill="#fff"/>\n` +
    `<text x="${MARGIN}" y="${MARGIN}" font-size="16">${escapeXml(title)}: ${tokens} tokens</text>\n` +
    `${body.join("")}</svg>\n`
  );
}

function drawPanel({ title, visits }: Panel, depth: number, levels: number): string {
  const tokens = visits[0]!;
  const lines = [`<text y="${MARGIN - 10}">${escapeXml(title)}</text>\n`];
  const place = (level: number, i: number) => {
    return [round(((i + 0.5) / 2 ** level) * WIDTH), MARGIN + level * LEVEL_HEIGHT] as const;
  };
  for (let level = 1; level <= levels; level++) {
    for (let i = 0; i < 2 ** level; i++) {
      const node = 2 ** level - 1 + i;
      const share = visits[node]! / tokens;
      // A branch that no token takes is drawn, but not the tree below it.
      if (visits[(node - 1) >> 1] === 0) continue;
      const [x, y] = place(level, i);
      const [fromX, fromY] = place(level - 1, i >> 1);
      const style =
        share > 0
          ? `stroke="#2563a8" stroke-width="${round(Math.max(0.4, BRANCH_WIDTH * share))}"`
          : `stroke="#bbb" stroke-width="0.5" stroke-dasharray="2 2"`;
      const middle = (y + fromY) / 2;
      const tip = `<title>node ${node}: ${(100 * share).toFixed(2)}%</title>`;
      lines.push(
        `<path fill="none" ${style} d="M${fromX} ${fromY}C${fromX} ${middle} ${x} ${middle} ${x} ${y}">${tip}</path>\n`,
      );
    }
  }
  const bars = groupLeaves(visits.subarray(2 ** depth - 1), 2 ** levels);
  const most = largest(bars);
  const width = WIDTH / bars.length;
  const top = MARGIN + levels * LEVEL_HEIGHT + 4;
  bars.forEach((n, i) => {
    if (n === 0) return;
    const height = round(BAR_HEIGHT * Math.sqrt(n / most));
    const tip = `<title>${(100 * (n / tokens)).toFixed(2)}%</title>`;
    lines.push(
      `<rect x="${round(i * width)}" y="${top}" width="${round(width)}" height="${height}" fill="#d9822b">${tip}</rect>\n`,
    );
  });
  return lines.join("");
}

function groupLeaves(leaves: Float64Array, groups: number): number[] {
  const size = leaves.length / groups;
  return Array.from({ length: groups }, (_, i) => {
    return leaves.subarray(i * size, (i + 1) * size).reduce((sum, n) => sum + n, 0);
  });
}

function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replace(/[\x00-\x1f]/g, " ");
}
