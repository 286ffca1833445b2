import { expect, test } from "bun:test";
import { record } from "../../../testing/bench-record.ts";
import { toSvg } from "./chart.ts";

const dense = (batch: number, changes = {}) =>
  record({
    batch,
    shape: "dense 4095",
    trees: 0,
    depth: 0,
    width: 4095,
    contender: "dense level 3",
    blas: "onednn",
    isa: null,
    seconds_per_token: 1.2e-4,
    speedup_fastest_dense: null,
    speedup_limit: null,
    flops: 100e9,
    bytes_per_s: 1e9,
    ...changes,
  });

test("the chart has a line for each contender, the limit, and the roofline", () => {
  const records = [1, 128, 16384].flatMap((batch) => [
    record({ batch, contender: "fff ours" }),
    record({ batch, contender: "fff <level 1>", seconds_per_token: 4e-6, speedup_fastest_dense: 30 }),
    dense(batch),
    dense(batch, { blas: "blis", seconds_per_token: 2e-4 }),
  ]);
  const svg = toSvg(records);
  expect(svg.startsWith("<svg xmlns=")).toBe(true);
  expect(svg).toContain("limit of arithmetic: 341x");
  expect(svg).toContain("FFF &lt;level 1>");
  expect(svg.match(/<path fill="none" stroke="#[0-9a-f]{6}" stroke-width="1.6"/g)).toHaveLength(3);
  expect(svg).toContain("107 GFLOP/s");
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

test("one batch is enough, and every shape and number of threads has its own pair", () => {
  const svg = toSvg([
    record(),
    dense(16384),
    record({ case_shape: "2x10", shape: "2x10" }),
    record({ threads: 2 }),
  ]);
  expect(svg.match(/>Roofline, /g)).toHaveLength(3);
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

test("a batch that was measured cold, too, has rings of its own baseline beside the line", () => {
  const records = (["rotated", "cold"] as const).flatMap((cache) => {
    const times = cache === "cold" ? 10 : 1;
    return [
      record({
        batch: 1,
        cache,
        contender: "fff ours",
        seconds_per_token: 3e-6 * times,
        speedup_fastest_dense: 300 / times,
      }),
      dense(1, { cache, seconds_per_token: 9e-4 }),
    ];
  });
  const svg = toSvg([...records, record({ contender: "fff ours" }), dense(16384)]);
  expect(svg).toContain("rings: all caches emptied");
  expect(svg.match(/fill="white" stroke=/g)).toHaveLength(2);
  const x = /r="4" fill="white" stroke="#0072b2"/.exec(svg)!.index;
  const [ring] = svg.slice(svg.lastIndexOf("<circle", x)).match(/cx="[\d.]+" cy="[\d.]+"/)!;
  const [dot] = svg.match(/cx="[\d.]+" cy="[\d.]+" r="3" fill="#0072b2"/)!;
  expect(ring.split(" ")[0]).toBe(dot.split(" ")[0]!); // one batch
  expect(ring.split(" ")[1]).not.toBe(dot.split(" ")[1]!); // 30x and 300x
  expect(toSvg(records.filter(({ cache }) => cache === "cold"))).not.toContain("rings");
});

test("narrower rows have a line of their own", () => {
  const svg = toSvg([
    record({ contender: "fff ours" }),
    record({ contender: "fff ours", dtype: "bf16" }),
    dense(16384),
  ]);
  expect(svg).toContain(">FFF ours avx512<");
  expect(svg).toContain(">FFF ours avx512 bf16<");
  expect(svg.match(/>Roofline, /g)).toHaveLength(1);
});

test("without an FFF layer there is nothing to draw", () => {
  expect(() => toSvg([dense(1)])).toThrow(RangeError);
  expect(() => toSvg([])).toThrow(RangeError);
});
