/**
 * A picture of a model's trees: the root on top, what tokens do on their way down, and the leaves with the tokens that reach them. Few
 * tokens have a line and a colour each; of many, a branch is as wide as the share of tokens that take it.
 */
import { count, largest, percent, plural } from "../../base/numbers.ts";
import { fitText, round, SERIES, svgDocument, text, textWidth } from "../../base/svg.ts";
import type { LayerUsage, PathUsage } from "./paths.ts";
import { drawLeafLabels, type LeafLabel, leafLabels, leafLabelsHeight } from "./svg-leaves.ts";

const WIDTH = 960;
const LEFT = 76;
const MARGIN = 24;
const LEVEL_HEIGHT = 22;
const BAR_HEIGHT = 32;
/** Deeper levels would be less than two units apart; their leaves are shown as bars and labels all the same. */
const DRAWN_LEVELS = 9;
/** Trees of a layer that are drawn. */
const MAX_TREES = 8;
/** Width of a branch that all tokens take. */
const BRANCH_WIDTH = 12;
/** Width of a token's own line. */
const LINE_WIDTH = 2.4;
/** So many tokens have a colour each: one fewer than a dozen. */
const FEW = SERIES;

/** One tree of one layer. */
interface Panel {
  layer: LayerUsage;
  tree: number;
  /** [2^(depth+1) - 1] */
  visits: Float64Array;
}

/** An SVG document with the text and a legend on top, then a panel for each tree of each layer. */
export function pathsSvg(usage: PathUsage, model: string): string {
  const few = usage.tokens <= FEW;
  const [top, head] = legend(usage, model, few);
  const panels = usage.layers.flatMap((layer) =>
    layer.visits.slice(0, MAX_TREES).map((visits, tree): Panel => ({ layer, tree, visits })),
  );
  const body = [...head];
  let y = top;
  for (const panel of panels) {
    const labels = leafLabels(usage, panel.layer.layer, panel.tree, few);
    const height = panelHeight(usage, labels);
    body.push(`<g transform="translate(${LEFT} ${y})">`, ...drawPanel(usage, panel, labels, few), "</g>");
    y += height;
  }
  return svgDocument(
    LEFT + WIDTH + MARGIN,
    y + MARGIN,
    `${model}: how ${plural(usage.tokens, "token")} fall through its trees`,
    body,
  );
}

const drawnLevels = (depth: number) => Math.min(depth, DRAWN_LEVELS);
/** Titles above a tree. */
const TREE_TOP = 44;
const treeBottom = (depth: number) => TREE_TOP + drawnLevels(depth) * LEVEL_HEIGHT;
const labelsTop = (depth: number) => treeBottom(depth) + 6 + BAR_HEIGHT;

const panelHeight = ({ depth }: PathUsage, labels: readonly LeafLabel[]) =>
  labelsTop(depth) + leafLabelsHeight(labels) + MARGIN;

/** What was read, and what lines, bars, left and right mean. Gives the y below it. */
function legend(
  { texts, tokens, firstText, walks }: PathUsage,
  model: string,
  few: boolean,
): [number, string[]] {
  const lines: string[] = [];
  let y = MARGIN + 8;
  const write = (content: string, kind: "head" | "label") => {
    lines.push(text(MARGIN, y, fitText(content, LEFT + WIDTH - MARGIN, kind), kind));
    y += kind === "head" ? 26 : 18;
  };
  const read = firstText === "" ? plural(tokens, "token") : `“${firstText}”`;
  write(texts > 1 ? `${plural(texts, "text")}, ${plural(tokens, "token")}, from ${read} on` : read, "head");
  if (few)
    y = drawTokens(
      lines,
      walks.map(({ token }) => token),
      y,
    );
  write(
    `In each layer of ${model} a token falls from the root of a tree (top) to a leaf (bottom). A node is a neuron:`,
    "label",
  );
  write(
    "the token goes left where the neuron gives 0 or less before its activation, and right where it gives more.",
    "label",
  );
  const samples = few ? LINE_SAMPLES : BRANCH_SAMPLES;
  let x = MARGIN;
  for (const { draw, width, meaning } of samples) {
    lines.push(draw(x, y - 4), text(x + width + 6, y, meaning, "label"));
    x += width + 6 + textWidth(meaning, "label") + 16;
  }
  return [y + 16, lines];
}

/** Numbered tokens in their colours, in rows. Gives the y below them. */
function drawTokens(lines: string[], tokens: readonly string[], top: number): number {
  let [x, y] = [MARGIN, top];
  for (const [i, token] of tokens.entries()) {
    const content = fitText(`${i + 1} ${token}`, 200, "token");
    const width = textWidth(content, "token");
    if (x + width > LEFT + WIDTH) [x, y] = [MARGIN, y + 18];
    lines.push(text(x, y, content, "token", { series: i }));
    x += width + 14;
  }
  return y + 22;
}

const BAR_SAMPLE = {
  draw: (x: number, y: number) => `<rect class="bar" x="${x}" y="${y - 6}" width="6" height="12"/>`,
  width: 6,
  meaning: "share of tokens in a leaf (height: its square root)",
};
const UNUSED_SAMPLE = {
  draw: (x: number, y: number) => `<path class="unused" stroke-dasharray="2 2" d="M${x} ${y}h24"/>`,
  width: 24,
  meaning: "a way no token went",
};
const LINE_SAMPLES = [
  {
    draw: (x: number, y: number) => `<path class="line s0" stroke-width="${LINE_WIDTH}" d="M${x} ${y}h24"/>`,
    width: 24,
    meaning: "a token",
  },
  UNUSED_SAMPLE,
  BAR_SAMPLE,
];
const BRANCH_SAMPLES = [
  ...[1, 0.5, 0.1].map((share) => ({
    draw: (x: number, y: number) =>
      `<path class="branch" stroke-width="${BRANCH_WIDTH * share}" d="M${x} ${y}h24"/>`,
    width: 24,
    meaning: share === 1 ? "taken by 100% of tokens" : percent(share, 0),
  })),
  UNUSED_SAMPLE,
  BAR_SAMPLE,
];

function drawPanel(usage: PathUsage, panel: Panel, labels: readonly LeafLabel[], few: boolean): string[] {
  const { depth } = usage;
  const { layer, tree, visits } = panel;
  const levels = drawnLevels(depth);
  const which = layer.visits.length > 1 ? `, tree ${tree + 1} of ${layer.visits.length}` : "";
  const leaves = visits.subarray(2 ** depth - 1);
  const used = leaves.filter((count) => count > 0).length;
  const tallest = percent(largest(leaves) / visits[0]!, 0);
  const bits = `entropy ${layer.entropy.toFixed(2)} of ${plural(depth, "bit")}`;
  return [
    text(0, 16, `Layer ${layer.layer}${which}`, "title"),
    text(
      0,
      32,
      `${count(used)} of ${count(leaves.length)} leaves reached, the busiest by ${tallest} of tokens; ${bits}`,
      "tick",
    ),
    ...scale(levels, depth),
    ...unusedBranches(visits, levels),
    ...(few ? tokenLines(usage, panel, levels) : branches(visits, levels)),
    ...drawLeafLabels(labels, {
      top: labelsTop(depth),
      width: WIDTH,
      place: (leaf) => leafPlace(leaf, depth),
      barsTop: treeBottom(depth) + 4,
    }),
    ...bars(leaves, levels, visits[0]!),
  ];
}

const place = (level: number, i: number) => ((i + 0.5) / 2 ** level) * WIDTH;
const leafPlace = (leaf: number, depth: number) => place(depth, leaf);
const height = (level: number) => TREE_TOP + level * LEVEL_HEIGHT;

/** Names the levels at the left. */
function scale(levels: number, depth: number): string[] {
  return Array.from({ length: levels + 1 }, (_, level) => {
    const name = level === 0 ? "root" : level === depth ? "leaves" : `level ${level}`;
    return `<path class="grid" d="M0 ${height(level)}H${WIDTH}"/>${text(-18, height(level) + 4, name, "tick", { anchor: "end" })}`;
  });
}

function curve(fromX: number, x: number, level: number): string {
  const [fromY, y] = [height(level - 1), height(level)];
  const middle = (y + fromY) / 2;
  return `M${round(fromX)} ${fromY}C${round(fromX)} ${middle} ${round(x)} ${middle} ${round(x)} ${y}`;
}

/** Every node below the root whose parent some token visited, with the number of tokens that it saw. */
function* nodes(visits: Float64Array, levels: number) {
  for (let level = 1; level <= levels; level++) {
    for (let i = 0; i < 2 ** level; i++) {
      const node = 2 ** level - 1 + i;
      if (visits[(node - 1) >> 1]! > 0) yield { level, i, node, count: visits[node]! };
    }
  }
}

function unusedBranches(visits: Float64Array, levels: number): string[] {
  return [...nodes(visits, levels)]
    .filter(({ count }) => count === 0)
    .map(
      ({ level, i }) =>
        `<path class="unused" stroke-width="0.7" stroke-dasharray="2 2" d="${curve(place(level - 1, i >> 1), place(level, i), level)}"/>`,
    );
}

function branches(visits: Float64Array, levels: number): string[] {
  return [...nodes(visits, levels)]
    .filter(({ count }) => count > 0)
    .map(({ level, i, node, count }) => {
      const share = count / visits[0]!;
      const width = round(Math.max(0.4, BRANCH_WIDTH * share));
      const tip = `<title>node ${node}: ${percent(share, 1)}</title>`;
      return `<path class="branch" stroke-width="${width}" stroke-linecap="round" d="${curve(place(level - 1, i >> 1), place(level, i), level)}">${tip}</path>`;
    });
}

/** A line for each token, those of one branch side by side in the order of the text. */
function tokenLines({ walks, depth }: PathUsage, { layer, tree }: Panel, levels: number): string[] {
  const leaves = walks.map((walk) => walk.leaves[layer.layer]![tree]!);
  const node = (token: number, level: number) => leaves[token]! >> (depth - level);
  const x = (token: number, level: number) => {
    const here = leaves.flatMap((_, other) => (node(other, level) === node(token, level) ? [other] : []));
    return place(level, node(token, level)) + (here.indexOf(token) - (here.length - 1) / 2) * LINE_WIDTH;
  };
  return leaves.map((leaf, token) => {
    const path = Array.from({ length: levels }, (_, i) => curve(x(token, i), x(token, i + 1), i + 1)).join(
      "",
    );
    const tip = `<title>${token + 1}: leaf ${leaf}</title>`;
    return `<path class="line s${token}" stroke-width="${LINE_WIDTH}" d="${path}">${tip}</path>`;
  });
}

/** A bar for each leaf, or for the leaves below each node of the last level drawn. */
function bars(leaves: Float64Array, levels: number, tokens: number): string[] {
  const size = leaves.length / 2 ** levels;
  const counts = Array.from({ length: 2 ** levels }, (_, i) =>
    leaves.subarray(i * size, (i + 1) * size).reduce((sum, n) => sum + n, 0),
  );
  const most = largest(counts);
  const width = Math.min(24, Math.max(2, WIDTH / counts.length));
  return counts.flatMap((n, i) => {
    if (n === 0) return [];
    const tip = `<title>${percent(n / tokens, 1)}</title>`;
    return [
      `<rect class="bar" x="${round(place(levels, i) - width / 2)}" y="${height(levels) + 4}" width="${round(width)}" height="${round(BAR_HEIGHT * Math.sqrt(n / most))}">${tip}</rect>`,
    ];
  });
}
