/** The picture: a bar a rung, as long as its speed-up on a logarithmic scale, with what is left of the score. */
import { round, svgDocument, text, textWidth, xml } from "../base/svg.ts";
import { METRICS } from "../eval/metrics.ts";
import type { LadderFacts, Line } from "./report.ts";

const ROW = 30;
const TOP = 46;
const EDGE = 16;
const BAR = 360;
/** Shortest bar, so that a rung that is no faster is seen. */
const SHORTEST = 2;

export function chart(lines: readonly Line[], { task }: LadderFacts): string {
  const labels = Math.max(...lines.map(({ title }) => textWidth(title, "label"))) + 2 * EDGE;
  const metric = METRICS[task.metrics[0]!].title;
  const ends = lines.map(
    ({ speedUp, score }) => `${speedUp.toFixed(1)}x, ${metric} ${(100 * score).toFixed(1)}`,
  );
  const logs = lines.map(({ speedUp }) => Math.max(0, Math.log(speedUp)));
  const most = Math.max(...logs) || 1;
  const title = `${task.title}: speed-up over ${lines[0]!.title}, logarithmic`;
  const width = Math.max(
    labels + BAR + Math.max(...ends.map((end) => textWidth(end, "label"))) + 2 * EDGE,
    textWidth(title, "title") + 2 * EDGE,
  );
  const body = lines.flatMap((line, i) => {
    const y = TOP + i * ROW;
    const length = Math.max(SHORTEST, (logs[i]! / most) * BAR);
    return [
      text(labels - EDGE, y + 14, line.title, "label", { anchor: "end" }),
      `<rect class="f0" x="${round(labels)}" y="${y}" width="${round(length)}" height="20"><title>${xml(`${line.seconds.toPrecision(3)} s`)}</title></rect>`,
      text(labels + length + 8, y + 14, ends[i]!, "label"),
    ];
  });
  return svgDocument(width, TOP + lines.length * ROW + EDGE, title, [
    text(EDGE, 26, title, "title"),
    ...body,
  ]);
}
