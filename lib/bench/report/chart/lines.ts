/** A chart of lines over named cases, each line labelled at its end, with its values written at its points. */
import { fitText, round, spread, text, textWidth } from "../../../base/svg.ts";

export interface Line {
  name: string;
  /** One for each case; null where there is none. */
  values: readonly (number | null)[];
  /** What is written at the points, in place of nothing. */
  notes?: readonly string[];
}

export interface LineChart {
  title: string;
  subtitle: string;
  /** What the cases are, and what the values are. */
  x: string;
  y: string;
  cases: readonly string[];
  lines: readonly Line[];
  /** Horizontal lines with a name. */
  rules?: readonly { at: number; name: string }[];
}

export const WIDTH = 860;
export const HEIGHT = 400;
const PLOT = { left: 64, right: 240, top: 76, bottom: 52 };
/** More cases than these have no values written at their points. */
const MOST_NOTED = 14;
const NOTE_HEIGHT = 14;

/** The chart, HEIGHT high, its left top corner at 0, 0. Values are positive; their axis is logarithmic. */
export function lineChart({ title, subtitle, x, y, cases, lines, rules = [] }: LineChart): string[] {
  const [x0, x1, y0, y1] = [PLOT.left, WIDTH - PLOT.right, HEIGHT - PLOT.bottom, PLOT.top];
  const values = [
    ...lines.flatMap((line) => line.values.filter((value) => value !== null)),
    ...rules.map(({ at }) => at),
  ];
  const axis = logAxis(values, y0, y1);
  const step = (x1 - x0) / cases.length;
  const at = (i: number) => x0 + (i + 0.5) * step;
  const points = lines.map(({ values }) =>
    values.flatMap((value, i) => (value === null ? [] : [{ i, x: at(i), y: axis.at(value) }])),
  );
  return [
    text(x0, 20, fitText(title, WIDTH - x0, "title"), "title"),
    text(x0, 38, fitText(subtitle, WIDTH - x0, "tick"), "tick"),
    text(x0, 60, y, "tick"),
    ...axis.ticks.map(
      (tick) =>
        `<path class="grid" d="M${x0} ${round(axis.at(tick))}H${x1}"/>${text(x0 - 8, axis.at(tick) + 4, short(tick), "tick", { anchor: "end" })}`,
    ),
    ...cases.map((name, i) =>
      text(at(i), y0 + 18, fitText(name, step - 4, "tick"), "tick", { anchor: "middle" }),
    ),
    text((x0 + x1) / 2, y0 + 40, x, "tick", { anchor: "middle" }),
    ...rules.map(({ at }) => `<path class="rule" d="M${x0} ${round(axis.at(at))}H${x1}"/>`),
    ...points.map((own, series) => drawLine(own, series)),
    ...names(
      lines,
      points,
      rules.map(({ at, name }) => ({ name, y: axis.at(at) })),
      x1 + 10,
      [y1 - 8, y0],
    ),
    ...(cases.length <= MOST_NOTED ? notes(lines, points, step, [y1 - NOTE_HEIGHT, y0]) : []),
  ];
}

interface Point {
  /** Of its case. */
  i: number;
  x: number;
  y: number;
}

function drawLine(points: readonly Point[], series: number): string {
  const path = points.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${round(x)} ${round(y)}`).join("");
  const dots = points.map(
    ({ x, y }) => `<circle class="f${series}" cx="${round(x)}" cy="${round(y)}" r="3.5"/>`,
  );
  return `<path class="line s${series}" stroke-width="2" d="${path}"/>${dots.join("")}`;
}

/** Names of lines beside their last points, and of rules. */
function names(
  lines: readonly Line[],
  points: readonly (readonly Point[])[],
  rules: readonly { name: string; y: number }[],
  left: number,
  [top, bottom]: readonly [number, number],
): string[] {
  const shown: { name: string; y: number; series?: number }[] = [
    ...lines.flatMap(({ name }, series) => {
      const last = points[series]!.at(-1);
      return last ? [{ name, y: last.y, series }] : [];
    }),
    ...rules,
  ];
  const wanted = shown.map(({ y }) => ({ at: y, size: 17 }));
  const places = spread(wanted, top, bottom);
  return shown.map(({ name, series }, i) => {
    const colour = series === undefined ? {} : { series };
    return text(left, places[i]! + 4, fitText(name, PLOT.right - 14, "label"), "label", colour);
  });
}

/**
 * What is written at the points of each case: above the highest, below the lowest, and beside those between them. Notes that are too wide
 * for their case are left out.
 */
function notes(
  lines: readonly Line[],
  points: readonly (readonly Point[])[],
  step: number,
  [top, bottom]: readonly [number, number],
): string[] {
  const all = points.flatMap((own, series) =>
    own.map((point) => ({ ...point, series, note: lines[series]!.notes?.[point.i] ?? "" })),
  );
  const shown = all.filter(({ note }) => note !== "" && textWidth(note, "note") < step - 2);
  return [...Map.groupBy(shown, ({ i }) => i).values()].flatMap((some) => {
    const sorted = some.toSorted((a, b) => a.y - b.y);
    const fitsBelow = sorted.length > 1 && sorted.at(-1)!.y + 18 < bottom;
    const between = sorted
      .slice(1, fitsBelow ? -1 : undefined)
      .filter(({ note }) => textWidth(note, "note") + BESIDE < step / 2);
    const places = spread(
      between.map(({ y }) => ({ at: y, size: NOTE_HEIGHT })),
      top,
      bottom,
    );
    const write = (
      { note, series }: (typeof some)[number],
      x: number,
      y: number,
      anchor: "start" | "middle",
    ) => text(x, y, note, "note", { anchor, series });
    return [
      write(sorted[0]!, sorted[0]!.x, sorted[0]!.y - 8, "middle"),
      ...between.map((one, i) => write(one, one.x + BESIDE, places[i]! + 4, "start")),
      ...(fitsBelow ? [write(sorted.at(-1)!, sorted.at(-1)!.x, sorted.at(-1)!.y + 17, "middle")] : []),
    ];
  });
}

/** From a point to the note beside it. */
const BESIDE = 8;

const short = (value: number) =>
  value >= 1 ? value.toLocaleString("en-US") : String(Number(value.toPrecision(2)));

/** Steps of a ruler, the finest that leaves few enough ticks. */
const STEPS = [[1, 2, 5], [1, 3], [1]] as const;
const MOST_TICKS = 9;

/** A logarithmic axis over the values, from pixel `from` to pixel `to`, ending in ticks. */
export function logAxis(values: readonly number[], from: number, to: number) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const candidates = STEPS.map((steps) => {
    const all: number[] = [];
    for (let power = Math.floor(Math.log10(least)) - 1; power <= Math.ceil(Math.log10(most)) + 1; power++)
      all.push(...steps.map((step) => Number((step * 10 ** power).toPrecision(3))));
    const first = all.findLastIndex((tick) => tick <= least * (1 + 1e-9));
    const last = all.findIndex((tick) => tick >= most * (1 - 1e-9));
    return all.slice(first, Math.max(last, first + 1) + 1);
  });
  const ticks = candidates.find((some) => some.length <= MOST_TICKS) ?? candidates.at(-1)!;
  const [low, high] = [Math.log10(ticks[0]!), Math.log10(ticks.at(-1)!)];
  return { ticks, at: (value: number) => from + ((Math.log10(value) - low) / (high - low)) * (to - from) };
}
