import { expect, test } from "bun:test";
import { record } from "../../../testing/bench-record.ts";
import type { BenchRecord } from "../measure/record.ts";
import { toMarkdown } from "./markdown.ts";

const fff = (contender: string, microseconds: number, baseline: number, changes: Partial<BenchRecord> = {}) =>
  record({
    contender,
    batch: 1,
    tokens: 1,
    seconds_per_token: microseconds * 1e-6,
    speedup_fastest_dense: baseline / microseconds,
    ...changes,
  });
const dense = (width: number, blas: string, microseconds: number, changes: Partial<BenchRecord> = {}) =>
  record({
    shape: `dense ${width}`,
    trees: 0,
    depth: 0,
    width,
    contender: "dense level 3",
    level: 3,
    blas,
    isa: null,
    batch: 1,
    tokens: 1,
    seconds_per_token: microseconds * 1e-6,
    speedup_fastest_dense: null,
    speedup_limit: null,
    ...changes,
  });
const inBlas = { isa: null, blas: "blis" } as const;
const records = [
  fff("fff level 1", 5, 900, { cache: "rotated", ...inBlas }),
  fff("fff ours", 3, 900, { cache: "rotated" }),
  dense(3072, "onednn", 700, { cache: "rotated" }),
  dense(4095, "onednn", 950, { cache: "rotated" }),
  dense(4095, "blis", 900, { cache: "rotated" }),
  fff("fff level 1", 2, 120, { batch: 128, tokens: 128, isa: null, blas: "onednn" }),
  fff("fff ours", 2.5, 120, { batch: 128, tokens: 128 }),
  dense(3072, "onednn", 90, { batch: 128, tokens: 64 }),
  dense(4095, "onednn", 120, { batch: 128, tokens: 128 }),
  dense(4095, "blis", 130, { batch: 128, tokens: 64 }),
];

test("layers have a matrix of all contenders and cases, trees first and the fastest first", () => {
  const [caption, , ...table] = toMarkdown(records).split("\n");
  expect(caption).toStartWith("1x11, hidden 768; A CPU; 1 thread; uniform paths. ");
  expect(table.slice(0, 8)).toEqual([
    "| contender | 1 rotated | 128 |",
    "|---|---:|---:|",
    "| fff ours, avx512 | **3.00 µs, 300x** | 2.50 µs, 48.0x |",
    "| fff level 1 | 5.00 µs, 180x | **2.00 µs, 60.0x** |",
    "| dense 3072 level 3 | 700 µs | 90.0 µs (of 64) |",
    "| dense 4095 level 3, onednn | 950 µs | **120 µs** |",
    "| dense 4095 level 3, blis | **900 µs** | 130 µs (of 64) |",
    "",
  ]);
});

test("then each case in full, the fastest first", () => {
  const [, rotated, warm] = toMarkdown(records).split(/^#### /m);
  expect(rotated).toStartWith("1x11, 1 rotated\n\n| shape |");
  expect(warm).toStartWith("1x11, 128\n\n| shape |");
  const contenders = (text: string) => text.match(/(?<=^\| \S+( \d+)? \| )[^|]+(?= \|)/gm)!.slice(1);
  expect(contenders(rotated!)).toEqual([
    "fff ours, avx512",
    "fff level 1, blis",
    "dense level 3, onednn",
    "dense level 3, blis",
    "dense level 3, onednn",
  ]);
  expect(contenders(warm!)[0]).toBe("fff level 1, onednn");
});

test("shapes and numbers of threads have matrices of their own; one case has none", () => {
  const two = [...records, ...records.map((one) => ({ ...one, threads: 2 }))];
  expect(toMarkdown(two).match(/^1x11, hidden 768; A CPU; [12] threads?;/gm)).toHaveLength(2);
  expect(toMarkdown(records.slice(0, 5))).toStartWith("| shape |");
  expect(toMarkdown([...records, record({ kind: "model" })])).toStartWith("| shape | neurons |");
  expect(toMarkdown([record({ kind: "model" })])).toStartWith("| model |");
});
