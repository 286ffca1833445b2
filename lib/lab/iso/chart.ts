/** The picture: loss and accuracy against measured time and active neurons, with error bars over seeds. */
import type { Row, Spread } from "./results.ts";

const PANEL = { width: 470, height: 360, left: 62, right: 18, top: 34, bottom: 50 };
const LEGEND = 30;

interface Kind {
  name: string;
  color: string;
  is(name: string): boolean;
}

/** Okabe and Ito's palette, told apart by colour-blind readers, too. The first kind that fits is a model's. */
const KINDS: readonly Kind[] = [
  { name: "none", color: "#333333", is: (name) => name === "none" },
  { name: "dense + trees", color: "#cc79a7", is: (name) => name.includes("+") },
  { name: "trees, balanced", color: "#009e73", is: (name) => name.endsWith(":balanced") },
  { name: "trees, linear nodes", color: "#e69f00", is: (name) => name.endsWith(":linear") },
  { name: "trees", color: "#d55e00", is: (name) => /^\d+x\d+/.test(name) },
  { name: "dense", color: "#0072b2", is: () => true },
];

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

const round = (value: number) => Number(value.toFixed(1));
const xml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
const kindOf = ({ name }: Row) => KINDS.find((kind) => kind.is(name))!;

/** An SVG document. */
export function chart(rows: readonly Row[], title: string): string {
  const panels = [LOSS, ACCURACY].flatMap((score, y) =>
    [TIMES, NEURONS].map((measure, x) =>
      panel(rows, score, measure, x * PANEL.width, LEGEND + y * PANEL.height),
    ),
  );
  const shown = KINDS.filter((kind) => rows.some((row) => kindOf(row) === kind));
  const legend = shown.map(
    ({ name, color }, i) =>
      `<circle cx="${70 + i * 145}" cy="17" r="5" fill="${color}"/><text x="${80 + i * 145}" y="21">${xml(name)}</text>`,
  );
  const [width, height] = [2 * PANEL.width, LEGEND + 2 * PANEL.height];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<title>${xml(title)}</title>
<style>text{font:12px sans-serif;fill:#222}.tick{font-size:11px;fill:#555}.name{font-size:10px;fill:#444}.grid{stroke:#e4e4e4}</style>
<rect width="100%" height="100%" fill="white"/>
${legend.join("\n")}
${panels.join("\n")}
</svg>
`;
}

interface Axis {
  at(value: number): number;
  ticks: number[];
}

/** Powers of two, or where they lie close together, 1, 1.25 and 1.5 times these, too. */
function logAxis(values: readonly number[], from: number, to: number): Axis {
  const [low, high] = widened(Math.log2(Math.min(...values)), Math.log2(Math.max(...values)), 0.3);
  const steps = high - low > 3 ? [1] : [1, 1.25, 1.5, 1.75];
  const ticks: number[] = [];
  for (let power = Math.floor(low); power <= high; power++)
    ticks.push(
      ...steps.map((step) => step * 2 ** power).filter((tick) => between(Math.log2(tick), low, high)),
    );
  return { ticks, at: (value) => from + ((Math.log2(value) - low) / (high - low)) * (to - from) };
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

function panel(rows: readonly Row[], score: Score, measure: Measure, left: number, top: number): string {
  const { width, height, left: inset, right, top: head, bottom } = PANEL;
  const [x0, x1, y0, y1] = [inset, width - right, height - bottom, head];
  const x = logAxis(rows.map(measure.of), x0, x1);
  const ends = rows.map(score.of).flatMap(({ mean, deviation }) => [mean - deviation, mean + deviation]);
  const y = linearAxis(ends, y0, y1);
  const grid = [
    ...x.ticks.map(
      (tick) =>
        `<path class="grid" d="M${round(x.at(tick))} ${y0}V${y1}"/><text class="tick" text-anchor="middle" x="${round(x.at(tick))}" y="${y0 + 16}">${Number(tick.toPrecision(3))}</text>`,
    ),
    ...y.ticks.map(
      (tick) =>
        `<path class="grid" d="M${x0} ${round(y.at(tick))}H${x1}"/><text class="tick" text-anchor="end" x="${x0 - 6}" y="${round(y.at(tick) + 4)}">${tick}</text>`,
    ),
  ];
  const marks = rows.map((row) => {
    const { mean, deviation } = score.of(row);
    const [px, py] = [round(x.at(measure.of(row))), round(y.at(mean))];
    const [high, low] = [round(y.at(mean + deviation)), round(y.at(mean - deviation))];
    const bar =
      deviation > 0
        ? `<path stroke="${kindOf(row).color}" d="M${px} ${high}V${low}M${px - 3} ${high}h6M${px - 3} ${low}h6"/>`
        : "";
    return `${bar}<circle cx="${px}" cy="${py}" r="4" fill="${kindOf(row).color}"><title>${xml(row.name)}</title></circle><text class="name" x="${px + 6}" y="${py - 5}">${xml(row.name)}</text>`;
  });
  return `<g transform="translate(${left} ${top})">
${grid.join("\n")}
<text x="${x0}" y="${y1 - 10}" font-weight="bold">${xml(score.title)}</text>
<text text-anchor="middle" x="${(x0 + x1) / 2}" y="${y0 + 36}">${xml(measure.title)}</text>
${marks.join("\n")}
</g>`;
}
