/** A picture of a run: its loss, step by step, and its scores. */
import { mean } from "../base/statistics.ts";
import { round, svgDocument, text, textWidth } from "../base/svg.ts";
import { isStep, type LogRecord } from "./records.ts";
import { type Judge, metricTitle } from "./validate.ts";

const PANEL = { width: 440, height: 300, left: 56, right: 16, top: 40, bottom: 44 };
/** Points of a curve of steps: each is a mean of its neighbours. */
const POINTS = 200;
/** Of what is drawn: what is beyond it, or no number, is left out. */
const LIMIT = 1e30;
/** About how many ticks an axis has. */
const TICKS = 5;

interface Curve {
  name: string;
  points: (readonly [x: number, y: number])[];
  dots?: boolean;
}

/** A score of a model that is being trained, after an epoch or between two steps of pretraining. */
interface Scored {
  step: number;
  /** Of the epoch, where there are epochs. */
  epoch: number | undefined;
  loss: number | undefined;
  scores: Readonly<Record<string, number>>;
}

function scoredOf(record: LogRecord): Scored[] {
  if (record.event === "epoch") {
    const { step, epoch, valid_loss: loss, scores = {} } = record;
    return [{ step, epoch, loss, scores }];
  }
  // Before the masked phase other tokens are predicted, from less.
  if (record.event !== "score" || record.objective !== "masked") return [];
  const { step, loss, accuracy } = record;
  return [{ step, epoch: undefined, loss, scores: { accuracy } }];
}

/** An SVG document: loss against steps on the left; scores, where there are any, on the right. */
export function curvesSvg(records: readonly LogRecord[], title: string): string {
  const steps = records.filter(isStep);
  const scored = records.flatMap(scoredOf);
  const losses: Curve[] = [
    { name: "training", points: thin(steps.map(({ step, loss }) => [step, loss])) },
    {
      name: "validation",
      points: scored.flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss] as const])),
      dots: true,
    },
  ];
  const names = Object.keys(scored[0]?.scores ?? {});
  const scores = names.map(
    (name): Curve => ({
      name: metricTitle(name as Judge),
      points: scored.map(({ step, epoch, scores: found }) => [epoch ?? step, found[name] ?? Number.NaN]),
      dots: true,
    }),
  );
  const unit = scored[0]?.epoch === undefined ? "step" : "epoch";
  const panels = [
    panel("loss", "step", losses, 0),
    ...(scores.length > 0 ? [panel("scores", unit, scores, 1)] : []),
  ];
  const width = panels.length * PANEL.width;
  return svgDocument(width, PANEL.height, title, panels);
}

/** Means of as many neighbours as leave POINTS points. */
function thin(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const size = Math.ceil(points.length / POINTS);
  const groups = Array.from({ length: Math.ceil(points.length / Math.max(size, 1)) }, (_, i) =>
    points.slice(i * size, (i + 1) * size),
  );
  return groups.map((group) => [mean(group.map(([x]) => x)), mean(group.map(([, y]) => y))]);
}

function panel(title: string, unit: string, curves: readonly Curve[], index: number): string {
  const { width, height, left, right, top, bottom } = PANEL;
  const shown = curves
    .map((curve) => ({ ...curve, points: curve.points.filter(([, y]) => Math.abs(y) < LIMIT) }))
    .filter(({ points }) => points.length > 0);
  const all = shown.flatMap(({ points }) => points);
  const [x, y] = [
    axis(
      all.map(([x]) => x),
      left,
      width - right,
    ),
    axis(
      all.map(([, y]) => y),
      height - bottom,
      top,
    ),
  ];
  const grid = [
    ...y.ticks.map(
      (tick) =>
        `<path class="grid" d="M${left} ${round(y.at(tick))}H${width - right}"/>${text(left - 6, y.at(tick) + 4, String(tick), "tick", { anchor: "end" })}`,
    ),
    ...x.ticks.map((tick) =>
      text(x.at(tick), height - bottom + 16, String(tick), "tick", { anchor: "middle" }),
    ),
  ];
  let nameAt = left + 8;
  const lines = shown.map(({ name, points, dots }, series) => {
    const path = points
      .map(([px, py], at) => `${at === 0 ? "M" : "L"}${round(x.at(px))} ${round(y.at(py))}`)
      .join("");
    const marks = dots
      ? points.map(
          ([px, py]) => `<circle class="f${series}" cx="${round(x.at(px))}" cy="${round(y.at(py))}" r="3"/>`,
        )
      : [];
    const legend = text(nameAt, top - 8, name, "label", { series });
    nameAt += textWidth(name, "label") + 14;
    return `<path class="line s${series}" stroke-width="1.6" d="${path}"/>${marks.join("")}${legend}`;
  });
  return `<g transform="translate(${index * width} 0)">
${text(left, 16, title, "title")}
${grid.join("\n")}
${text((left + width - right) / 2, height - 8, unit, "tick", { anchor: "middle" })}
${lines.join("\n")}
</g>`;
}

/** A linear axis over the values, with about five round ticks. */
function axis(values: readonly number[], from: number, to: number) {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const middle = Number.isFinite(low) ? low : 0;
  // A single value, or values too close or too far apart for a ruler.
  if (!(high - low > 1e-9 * Math.abs(high)) || high - low === Number.POSITIVE_INFINITY)
    [low, high] = [middle - 0.5 - Math.abs(middle), middle + 0.5 + Math.abs(middle)];
  const rough = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const ticks = Array.from({ length: TICKS + 2 }, (_, i) => Number(((first + i) * step).toPrecision(6)));
  return {
    ticks: ticks.filter((tick) => tick <= high),
    at: (value: number) => from + ((value - low) / (high - low)) * (to - from),
  };
}
