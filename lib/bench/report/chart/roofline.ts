/** The roofline: arithmetic of each contender against the bytes that it reads, below what the machine can do. */
import { round, text } from "../../../base/svg.ts";
import type { BenchRecord } from "../../measure/record.ts";
import { significant } from "../units.ts";
import { HEIGHT, logAxis, WIDTH } from "./lines.ts";

const PLOT = { left: 64, right: 240, top: 76, bottom: 52 };

/** Contenders that have a colour: their names stand at the right. */
const KINDS: readonly { name: string; has(record: BenchRecord): boolean }[] = [
  { name: "FFF", has: ({ trees, level }) => trees > 0 && level === 0 },
  { name: "FFF from BLAS calls", has: ({ trees, level }) => trees > 0 && level > 0 },
  { name: "dense", has: ({ trees }) => trees === 0 },
];

/** Of one shape; none where the bounds were not measured. */
export function rooflineChart(records: readonly BenchRecord[]): string[][] {
  const {
    case_shape,
    hidden,
    threads,
    machine,
    peak_flops: peak,
    peak_memory_bytes_per_s: memory,
    peak_l2_bytes_per_s: l2,
  } = records[0]!;
  if (peak === null || memory === null || l2 === null) return [];
  const points = records.flatMap((record) =>
    record.bytes_per_s === null
      ? []
      : [{ record, intensity: record.flops / record.bytes_per_s, flops: record.flops }],
  );
  const [x0, x1, y0, y1] = [PLOT.left, WIDTH - PLOT.right, HEIGHT - PLOT.bottom, PLOT.top];
  const x = logAxis([...points.map(({ intensity }) => intensity), peak / memory], x0, x1);
  const y = logAxis([...points.map(({ flops }) => flops / 1e9), (peak * 1.5) / 1e9], y0, y1);
  const [least, most] = [x.ticks[0]!, x.ticks.at(-1)!];
  const roof = (rate: number) => {
    const from = Math.max(least, (y.ticks[0]! * 1e9) / rate);
    const knee = Math.min(most, Math.max(from, peak / rate));
    const path = [from, knee, most].map((at) => [x.at(at), y.at(Math.min(peak, at * rate) / 1e9)] as const);
    return `<path class="rule" d="${path.map(([px, py], i) => `${i === 0 ? "M" : "L"}${round(px)} ${round(py)}`).join("")}"/>`;
  };
  const limits = [
    `limits: ${significant(peak / 1e9)} GFLOP/s,`,
    `L2 ${significant(l2 / 1e9)} GB/s,`,
    `memory ${significant(memory / 1e9)} GB/s`,
  ];
  return [
    [
      text(x0, 20, `Roofline of ${case_shape}, hidden ${hidden}`, "title"),
      text(
        x0,
        38,
        `${machine.cpu}, ${threads} thread${threads === 1 ? "" : "s"}; a point for each contender and case`,
        "tick",
      ),
      text(x0, 60, "GFLOP/s", "tick"),
      ...y.ticks.map(
        (tick) =>
          `<path class="grid" d="M${x0} ${round(y.at(tick))}H${x1}"/>${text(x0 - 8, y.at(tick) + 4, String(tick), "tick", { anchor: "end" })}`,
      ),
      ...x.ticks.map((tick) => text(x.at(tick), y0 + 18, String(tick), "tick", { anchor: "middle" })),
      text((x0 + x1) / 2, y0 + 40, "arithmetic for a byte read", "tick", { anchor: "middle" }),
      roof(memory),
      roof(l2),
      ...KINDS.flatMap(({ has }, series) =>
        points
          .filter(({ record }) => has(record))
          .map(
            ({ intensity, flops }) =>
              `<circle class="f${series}" fill-opacity="0.7" cx="${round(x.at(intensity))}" cy="${round(y.at(flops / 1e9))}" r="4"/>`,
          ),
      ),
      ...KINDS.map(({ name }, series) => text(x1 + 10, y1 + 10 + 18 * series, name, "label", { series })),
      ...limits.map((line, i) => text(x1 + 10, y1 + 80 + 16 * i, line, "tick")),
    ],
  ];
}
