/** The picture: loss and accuracy against measured time and active neurons, with error bars over seeds. */
import { round, svgDocument, text, textWidth, xml } from "../../base/svg.ts";
import type { Row, Spread } from "./results.ts";

const PANEL = { width: 470, height: 360, left: 62, right: 18, top: 34, bottom: 50 };
const LEGEND = 30;

/** The first kind that fits is a model's. Its place here is its colour. */
const KINDS: readonly { name: string; is(name: string): boolean }[] = [
  { name: "dense + trees", is: (name) => name.includes("+") },
  { name: "trees, balanced", is: (name) => name.includes(":balanced") },
  { name: "trees, noisy", is: (name) => name.endsWith(":noisy") },
  { name: "trees, linear nodes", is: (name) => name.endsWith(":linear") },
  { name: "trees, activated sum", is: (name) => name.endsWith(":after") },
  { name: "trees", is: (name) => /^\d+x\d+/.test(name) },
  { name: "dense", is: (name) => name !== "none" },
  { name: "none", is: () => true },
];

const DENSE = KINDS.findIndex(({ name }) => name === "dense");

interface Measure {
  title: string;
  of(row: Row): number;
}

const TIMES: Measure = { title: "µs a token, 32 sequences at a time", of: ({ batched }) => 1e6 * batched };
/** One is added, so that none has a place on the axis. */
const NEURONS: Measure = { title: "active neurons of a layer, + 1", of: ({ active }) => active + 1 };

interface Score {
  title: string;
  of(row: Row): Spread;
}

const LOSS: Score = { title: "held-out loss (nats)", of: ({ loss }) => loss };
const ACCURACY: Score = {
  title: "held-out accuracy (%)",
  of: ({ accuracy: { mean, deviation } }) => ({ mean: 100 * mean, deviation: 100 * deviation }),
};

const kindOf = ({ name }: Row) => KINDS.findIndex((kind) => kind.is(name));

/** An SVG document. */
export function chart(rows: readonly Row[], title: string): string {
  const panels = [LOSS, ACCURACY].flatMap((score, y) =>
    [TIMES, NEURONS].map((measure, x) =>
      panel(rows, score, measure, x * PANEL.width, LEGEND + y * PANEL.height),
    ),
  );
  let at = PANEL.left;
  const legend = KINDS.flatMap(({ name }, series) => {
    if (!rows.some((row) => kindOf(row) === series)) return [];
    const item = `<circle class="f${series}" cx="${round(at)}" cy="17" r="5"/>${text(at + 10, 21, name, "label")}`;
    at += textWidth(name, "label") + 30;
    return [item];
  });
  return svgDocument(2 * PANEL.width, LEGEND + 2 * PANEL.height, title, [...legend, ...panels]);
}

interface Axis {
  at(value: number): number;
  ticks: number[];
}

/** Space between the labels of two ticks. */
const GAP = 10;
const tickText = (tick: number) => String(Number(tick.toPrecision(4)));

/** Powers of two, or where they lie close together, 1.25, 1.5 and 1.75 times these, too; as many as have room for their labels. */
function logAxis(values: readonly number[], from: number, to: number): Axis {
  const [low, high] = widened(Math.log2(Math.min(...values)), Math.log2(Math.max(...values)), 0.3);
  const at = (value: number) => from + ((Math.log2(value) - low) / (high - low)) * (to - from);
  const factors = high - low > 2.5 ? [1] : [1, 1.25, 1.5, 1.75];
  const ticks: number[] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (let power = Math.floor(low); power <= high; power++) {
    for (const factor of factors) {
      const tick = factor * 2 ** power;
      const half = textWidth(tickText(tick), "tick") / 2;
      if (!between(Math.log2(tick), low, high) || at(tick) - half < end) continue;
      ticks.push(tick);
      end = at(tick) + half + GAP;
    }
  }
  return { ticks, at };
}

function linearAxis(values: readonly number[], from: number, to: number): Axis {
  const [low, high] = widened(Math.min(...values), Math.max(...values), 0);
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10);
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(Number((i * step).toPrecision(6)));
  return { ticks, at: (value) => from + ((value - low) / (high - low)) * (to - from) };
}

/** With some space at either end, and never empty. */
function widened(low: number, high: number, least: number): [number, number] {
  const space = Math.max(0.06 * (high - low), least, high === low ? 0.05 * Math.abs(low) || 1 : 0);
  return [low - space, high + space];
}

const between = (value: number, low: number, high: number) => value >= low && value <= high;

interface Box {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}

const meet = (a: Box, b: Box) => a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;

/** Where a label may stand, from its point: to the right and left of it, above and below. */
const PLACES = [
  ...[-6, 13, 4].map((dy) => ({ dx: 8, dy, end: false })),
  ...[-6, 13, 4].map((dy) => ({ dx: -8, dy, end: true })),
  ...[-18, 25, -30, 37].map((dy) => ({ dx: 4, dy, end: false })),
];

/** Labels beside their points that touch no other label and no point; one that finds no place is left out. */
function labels(points: readonly { x: number; y: number; name: string }[], inside: Box): string[] {
  const taken: Box[] = points.map(({ x, y }) => ({ x0: x - 5, x1: x + 5, y0: y - 5, y1: y + 5 }));
  return points.flatMap(({ x, y, name }) => {
    const width = textWidth(name, "tick");
    for (const { dx, dy, end } of PLACES) {
      const x0 = x + dx - (end ? width : 0);
      const box = { x0, x1: x0 + width, y0: y + dy - 10, y1: y + dy + 3 };
      const outside = box.x0 < inside.x0 || box.x1 > inside.x1 || box.y0 < inside.y0 || box.y1 > inside.y1;
      if (outside || taken.some((other) => meet(box, other))) continue;
      taken.push(box);
      return [text(x0, y + dy, name, "tick")];
    }
    return [];
  });
}

function panel(rows: readonly Row[], score: Score, measure: Measure, left: number, top: number): string {
  const { width, height, left: inset, right, top: head, bottom } = PANEL;
  const [x0, x1, y0, y1] = [inset, width - right, height - bottom, head];
  const x = logAxis(rows.map(measure.of), x0, x1);
  const ends = rows.map(score.of).flatMap(({ mean, deviation }) => [mean - deviation, mean + deviation]);
  const y = linearAxis(ends, y0, y1);
  const grid = [
    ...x.ticks.map(
      (tick) =>
        `<path class="grid" d="M${round(x.at(tick))} ${y0}V${y1}"/>${text(x.at(tick), y0 + 16, tickText(tick), "tick", { anchor: "middle" })}`,
    ),
    ...y.ticks.map(
      (tick) =>
        `<path class="grid" d="M${x0} ${round(y.at(tick))}H${x1}"/>${text(x0 - 6, y.at(tick) + 4, String(tick), "tick", { anchor: "end" })}`,
    ),
  ];
  const points = rows.map((row) => {
    const { mean, deviation } = score.of(row);
    return {
      name: row.name,
      series: kindOf(row),
      x: round(x.at(measure.of(row))),
      y: round(y.at(mean)),
      high: round(y.at(mean + deviation)),
      low: round(y.at(mean - deviation)),
    };
  });
  // Dense layers of any width are what all others are held against.
  const widths = points.filter(({ series }) => series === DENSE).sort((a, b) => a.x - b.x);
  const path = widths.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${x} ${y}`).join("");
  const curve = `<path class="line s${DENSE}" opacity="0.5" d="${path}"/>`;
  const marks = points.map(({ name, series, x, y, high, low }) => {
    const bar =
      low > high
        ? `<path class="line s${series}" d="M${x} ${high}V${low}M${x - 3} ${high}h6M${x - 3} ${low}h6"/>`
        : "";
    return `${bar}<circle class="f${series}" cx="${x}" cy="${y}" r="4"><title>${xml(name)}</title></circle>`;
  });
  return `<g transform="translate(${left} ${top})">
${grid.join("\n")}
${text(x0, y1 - 10, score.title, "title")}
${text((x0 + x1) / 2, y0 + 36, measure.title, "label", { anchor: "middle" })}
${curve}
${marks.join("\n")}
${labels(points, { x0, x1, y0: y1, y1: y0 }).join("\n")}
</g>`;
}
