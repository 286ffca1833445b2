/**
 * Charts of layer records as SVG: speed-up against batch, and the roofline where it was measured, a pair for each shape and number of
 * threads, or dtype of a device.
 */
import type { BenchRecord } from "../measure/record.ts";
import { significant } from "./units.ts";

const PANEL = { width: 460, height: 380, left: 64, top: 52, right: 20, bottom: 52 };
const LEGEND = 250;
const ROW = 17;
/** Okabe and Ito's palette, told apart by colour-blind readers, too. */
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a5a00", "#6a3d9a"];
const DENSE = ["#333333", "#6b6b6b", "#9a9a9a"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3", "1 4"];

interface Series {
  name: string;
  color: string;
  dashes: string;
  records: BenchRecord[];
}

interface Axis {
  at(value: number): number;
  ticks: number[];
}

const xml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
const round = (value: number) => String(Math.round(value * 10) / 10);

/** A logarithmic axis over whole powers of `base`, from pixel `from` to pixel `to`. */
function logAxis(values: readonly number[], base: number, from: number, to: number): Axis {
  const log = (value: number) => Math.log(value) / Math.log(base);
  const low = Math.floor(log(Math.min(...values)) + 1e-9);
  const high = Math.max(low + 1, Math.ceil(log(Math.max(...values)) - 1e-9));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => base ** (low + i));
  return { ticks, at: (value) => from + ((log(value) - low) / (high - low)) * (to - from) };
}

function frame(title: string, x: Axis, y: Axis, labels: { x: string; y: string }, left: number): string {
  const { width, height, top, bottom, right } = PANEL;
  const x0 = left + PANEL.left;
  const x1 = left + width - right;
  const y0 = height - bottom;
  const grid = [
    ...x.ticks.map(
      (tick) =>
        `<path class="grid" d="M${round(x.at(tick))} ${y0}V${top}"/><text class="tick" text-anchor="middle" x="${round(x.at(tick))}" y="${y0 + 16}">${number(tick)}</text>`,
    ),
    ...y.ticks.map(
      (tick) =>
        `<path class="grid" d="M${x0} ${round(y.at(tick))}H${x1}"/><text class="tick" text-anchor="end" x="${x0 - 7}" y="${round(y.at(tick) + 4)}">${number(tick)}</text>`,
    ),
  ];
  return `<text class="title" x="${x0}" y="${top - 16}">${xml(title)}</text>${grid.join("")}
<text text-anchor="middle" x="${(x0 + x1) / 2}" y="${y0 + 38}">${xml(labels.x)}</text>
<text text-anchor="middle" transform="translate(${left + 16} ${(y0 + top) / 2}) rotate(-90)">${xml(labels.y)}</text>`;
}

const number = (value: number) =>
  value >= 1 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));

function line(points: readonly (readonly [number, number])[], color: string, dashes: string): string {
  const path = points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${round(x)} ${round(y)}`).join("");
  const dots = points.map(([x, y]) => `<circle cx="${round(x)}" cy="${round(y)}" r="3" fill="${color}"/>`);
  return `<path fill="none" stroke="${color}" stroke-width="1.6" stroke-dasharray="${dashes}" d="${path}"/>${dots.join("")}`;
}

function rings(points: readonly (readonly [number, number])[], color: string): string {
  return points
    .map(
      ([x, y]) =>
        `<circle cx="${round(x)}" cy="${round(y)}" r="4" fill="white" stroke="${color}" stroke-width="1.6"/>`,
    )
    .join("");
}

const caseOf = ({ batch, cache }: BenchRecord) => `${batch} ${cache}`;

/** Seconds a token of the fastest dense contender, by case. */
function baselines(records: readonly BenchRecord[]): Map<string, number> {
  return new Map(
    records.flatMap((record) =>
      record.speedup_fastest_dense === null
        ? []
        : [[caseOf(record), record.seconds_per_token * record.speedup_fastest_dense] as const],
    ),
  );
}

/** Where a batch was measured cold and in another state, the line goes through the other, and cold is a ring of its own. */
const standsApart = (record: BenchRecord, records: readonly BenchRecord[]) =>
  record.cache === "cold" && records.some(({ batch, cache }) => batch === record.batch && cache !== "cold");

function speedups(series: readonly Series[], records: readonly BenchRecord[], left: number): string {
  const baseline = baselines(records);
  const limit = records.find(({ speedup_limit }) => speedup_limit !== null)?.speedup_limit ?? 1;
  const value = (record: BenchRecord) =>
    (baseline.get(caseOf(record)) ?? Number.NaN) / record.seconds_per_token;
  const { width, height, right, top, bottom } = PANEL;
  const x0 = left + PANEL.left;
  const x1 = left + width - right;
  const batches = records.map(({ batch }) => batch);
  const shown = records.filter((record) => baseline.has(caseOf(record)));
  const x = logAxis(batches, Math.max(...batches) > 256 ? 4 : 2, x0 + 10, x1 - 10);
  const y = logAxis([...shown.map(value), limit, 1], 10, height - bottom, top);
  const rules = [
    [limit, `limit of arithmetic: ${significant(limit)}x`],
    [1, "fastest dense"],
  ] as const;
  return [
    frame(
      "Speed-up over the fastest dense layer",
      x,
      y,
      { x: "tokens in the batch", y: "times as fast" },
      left,
    ),
    ...rules.map(
      ([at, text]) =>
        `<path class="rule" d="M${x0} ${round(y.at(at))}H${x1}"/><text class="tick" text-anchor="end" x="${x1}" y="${round(y.at(at) - 5)}">${xml(text)}</text>`,
    ),
    ...series.map(({ records: own, color, dashes }) => {
      const sorted = own.filter((record) => baseline.has(caseOf(record))).sort((a, b) => a.batch - b.batch);
      const point = (record: BenchRecord) => [x.at(record.batch), y.at(value(record))] as const;
      const [joined, apart] = [false, true].map((is) =>
        sorted.filter((record) => standsApart(record, records) === is).map(point),
      );
      return line(joined!, color, dashes) + rings(apart!, color);
    }),
    ...(shown.some((record) => standsApart(record, records))
      ? [`<text class="tick" x="${x0 + 4}" y="${top + 12}">rings: all caches emptied before each call</text>`]
      : []),
  ].join("\n");
}

/** "" where the bounds were not measured. */
function roofline(series: readonly Series[], records: readonly BenchRecord[], left: number): string {
  const { peak_flops: peak, peak_memory_bytes_per_s: memory, peak_l2_bytes_per_s: l2, threads } = records[0]!;
  if (peak === null || memory === null || l2 === null) return "";
  const known = (list: readonly BenchRecord[]) =>
    list.flatMap((record) =>
      record.bytes_per_s === null
        ? []
        : [{ intensity: record.flops / record.bytes_per_s, flops: record.flops }],
    );
  const points = known(records);
  const { width, height, right, top, bottom } = PANEL;
  const x0 = left + PANEL.left;
  const intensities = [...points.map(({ intensity }) => intensity), peak / memory];
  const x = logAxis(intensities, 4, x0, left + width - right);
  const [least, most] = [x.ticks[0]!, x.ticks.at(-1)!];
  const slowest = Math.min(...points.map(({ flops }) => flops));
  const y = logAxis([slowest / 1e9, (peak * 2) / 1e9], 10, height - bottom, top);
  const roof = (rate: number, name: string) => {
    const from = Math.max(least, (y.ticks[0]! * 1e9) / rate);
    const knee = Math.min(most, Math.max(from, peak / rate));
    const path = [
      [x.at(from), y.at((from * rate) / 1e9)],
      [x.at(knee), y.at((knee * rate) / 1e9)],
      [x.at(most), y.at(Math.min(peak, most * rate) / 1e9)],
    ].map(([px, py], i) => `${i === 0 ? "M" : "L"}${round(px!)} ${round(py!)}`);
    // The name goes under the slope, a little above its foot.
    const at = from * (knee / from) ** 0.25;
    return `<path class="rule" d="${path.join("")}"/><text class="tick" x="${round(x.at(at) + 6)}" y="${round(y.at((at * rate) / 1e9) + 12)}">${name} ${significant(rate / 1e9)} GB/s</text>`;
  };
  return [
    frame(
      `Roofline, ${threads} thread${threads === 1 ? "" : "s"}`,
      x,
      y,
      { x: "multiply-adds x 2 for a byte read", y: "GFLOP/s" },
      left,
    ),
    roof(memory, "memory"),
    roof(l2, "L2"),
    `<text class="tick" text-anchor="end" x="${left + width - right}" y="${round(y.at(peak / 1e9) - 5)}">${significant(peak / 1e9)} GFLOP/s</text>`,
    ...series.flatMap(({ records, color }) =>
      known(records).map(
        ({ intensity, flops }) =>
          `<circle cx="${round(x.at(intensity))}" cy="${round(y.at(flops / 1e9))}" r="4" fill="${color}" fill-opacity="0.7"/>`,
      ),
    ),
  ].join("\n");
}

/** A line for each contender, at each batch the best that it had: of the BLAS libraries, and of as many neurons, padded or not. */
function toSeries(records: readonly BenchRecord[]): Series[] {
  const neurons = Math.max(
    ...records.map(({ trees, depth, speedup_limit: limit }) => (limit ?? 0) * trees * (depth + 1)),
  );
  const name = ({ trees, width, contender, shape, isa, device, dtype }: BenchRecord) =>
    [
      trees > 0 ? "FFF" : width >= Math.round(neurons) ? "dense" : shape,
      contender.replace(/^(fff|dense) /, ""),
      isa ?? "",
      device === null && dtype !== "f32" ? dtype : "",
    ]
      .filter((part) => part !== "")
      .join(" ");
  let trees = 0;
  let dense = 0;
  return [...Map.groupBy(records, name)].map(([name, all]) => {
    const records = [...Map.groupBy(all, caseOf).values()].map((same) =>
      same.reduce((best, one) => (one.seconds_per_token < best.seconds_per_token ? one : best)),
    );
    const fff = all[0]!.trees > 0;
    const index = fff ? trees++ : dense++;
    const palette = fff ? COLORS : DENSE;
    const dashes = DASHES[Math.floor(index / palette.length) % DASHES.length]!;
    return { name, color: palette[index % palette.length]!, dashes, records };
  });
}

/** Multiplications in tf32 are of f32 numbers, and stand beside those in f32. */
const inputDtype = (dtype: BenchRecord["dtype"]) => (dtype === "tf32" ? "f32" : dtype);

function legend(series: readonly Series[], left: number): string {
  return series
    .map(({ name, color, dashes }, i) => {
      const y = PANEL.top + i * ROW;
      return `<path fill="none" stroke="${color}" stroke-width="2" stroke-dasharray="${dashes}" d="M${left} ${y}h22"/><circle cx="${left + 11}" cy="${y}" r="3" fill="${color}"/><text class="tick" x="${left + 28}" y="${y + 4}">${xml(name)}</text>`;
    })
    .join("\n");
}

/** @throws RangeError when there is no FFF layer among the records */
export function toSvg(records: readonly BenchRecord[]): string {
  const layers = records.filter(({ kind, paths }) => kind === "layer" && paths !== "zero");
  const groups = [
    ...Map.groupBy(layers, ({ case_shape, hidden, threads, device, dtype }) =>
      [case_shape, hidden, threads, device, device && inputDtype(dtype)].join("\n"),
    ),
  ].filter(([, group]) => group.some(({ speedup_fastest_dense }) => speedup_fastest_dense !== null));
  if (groups.length === 0) throw new RangeError("no FFF layer to draw");
  let top = 0;
  const parts = groups.map(([, group]) => {
    const series = toSeries(group);
    const { case_shape, hidden, machine, device, dtype } = group[0]!;
    const place = device === null ? machine.cpu : `${device}, ${inputDtype(dtype)}`;
    const right = roofline(series, group, PANEL.width);
    const height = Math.max(PANEL.height, PANEL.top + series.length * ROW + 10) + 20;
    const part = `<g transform="translate(0 ${top})">
<text class="title" x="${PANEL.left}" y="16">${xml(`${case_shape}, hidden ${hidden}, on ${place}`)}</text>
${speedups(series, group, 0)}
${right}
${legend(series, (right === "" ? 1 : 2) * PANEL.width + 16)}
</g>`;
    top += height;
    return part;
  });
  const width = 2 * PANEL.width + LEGEND + 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}">
<style>text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:13px}.tick{font-size:11px;fill:#555}.grid{stroke:#e4e4e4}.rule{stroke:#888;stroke-dasharray:4 3;fill:none}</style>
<rect width="100%" height="100%" fill="white"/>
${parts.join("\n")}
</svg>
`;
}
