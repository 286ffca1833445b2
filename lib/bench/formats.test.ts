import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { append, compareRuns, openDatabase } from "./database.ts";
import { FORMATS, seconds, significant, TABLE, toTable } from "./formats.ts";
import { type BenchRecord, COLUMNS } from "./record.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

const record = (changes: Partial<BenchRecord> = {}): BenchRecord => ({
  kind: "layer",
  shape: "1x11",
  hidden: 768,
  trees: 1,
  depth: 11,
  width: 0,
  layers: null,
  batch: 16384,
  length: null,
  padded: false,
  contender: 'fff "ours", it\'s',
  level: 0,
  published: false,
  blas: null,
  blas_version: null,
  isa: "avx512",
  threads: 1,
  dtype: "f32",
  cache: "warm",
  paths: "uniform",
  tokens: 16384,
  samples: [0.03, 0.031, 0.032],
  seconds_per_token: 1.892e-6,
  tokens_per_s: 528541,
  latency_p50: 0.031,
  latency_p90: 0.0318,
  latency_p99: 0.03198,
  speedup_same_level: null,
  speedup_fastest_dense: 64.4,
  speedup_limit: 341.25,
  flops: 19.5e9,
  bytes_per_s: 43e9,
  share_of_peak_flops: 0.18,
  error: 2e-7,
  ties: 0,
  outliers: 0,
  machine: { cpu: "A CPU", caches: [32768, 1048576], isa: "avx512", compiler: "GCC 12", memory_bytes: 1 },
  version: "0.1.0",
  commit: null,
  date: "2026-01-01T00:00:00.000Z",
  ...changes,
});

test("JSON and JSON lines give the records back", () => {
  const records = [record(), record({ blas: "openblas", level: 3 })];
  expect(JSON.parse(FORMATS.json!(records))).toEqual(records);
  expect(
    FORMATS.jsonl!(records)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual(records);
});

test("CSV quotes what needs it and has a cell a column", () => {
  const [head, row] = FORMATS.csv!([record()]).split("\n");
  expect(head).toBe(COLUMNS.join(","));
  expect(row).toContain('"fff ""ours"", it\'s"');
  expect(row).toContain('"[0.03,0.031,0.032]"');
});

test("the SQL runs, and holds the values", () => {
  using database = new Database(":memory:");
  database.run(FORMATS.sql!([record(), record({ speedup_same_level: Number.NaN })]));
  const rows = database.query(`SELECT contender, batch, samples, speedup_same_level FROM ${TABLE}`).all();
  const row = {
    contender: 'fff "ours", it\'s',
    batch: 16384,
    samples: "[0.03,0.031,0.032]",
    speedup_same_level: null,
  };
  expect(rows).toEqual([row, row]);
});

test("tables show units and sample sizes", () => {
  const text = toTable([record(), record({ tokens: 128, seconds_per_token: 0.00074, cache: "cold" })]);
  expect(text).toContain("1.89 µs");
  expect(text).toContain("740 µs (of 128)");
  expect(text).toContain("64.4x");
  expect(FORMATS.md!([record({ contender: "a|b" })])).toContain("a\\|b");
  expect(seconds(1.5)).toBe("1.50 s");
  expect(significant(1234.5)).toBe("1235");
});

test("a database compares the newest run with the one before it", () => {
  const path = join(folder, "results.db");
  const at = (date: string, scale: number) =>
    record({ date, samples: Array.from({ length: 12 }, (_, i) => (0.03 + i * 1e-5) * scale) });
  for (const one of [at("2026-01-01", 1), at("2026-01-02", 1.2)]) {
    using database = openDatabase(path);
    append(database, [one, { ...one, contender: "dense", samples: [1, 1.1, 1.05] }]);
  }
  const [slower, same] = compareRuns(path);
  expect(slower).toMatchObject({ verdict: "slower", before: "2026-01-01", after: "2026-01-02" });
  expect(slower!.times[1] / slower!.times[0]).toBeCloseTo(1.2, 6);
  expect(same!.verdict).toBe("same");
});

test("what is no database of records is refused, and left as it is", () => {
  const text = join(folder, "notes.txt");
  writeFileSync(text, "these are notes, and no database at all ".repeat(100));
  expect(() => openDatabase(text)).toThrow("no database of benchmark records");
  const other = join(folder, "other.db");
  new Database(other).run(`CREATE TABLE ${TABLE} (a)`);
  expect(() => openDatabase(other)).toThrow("lacks kind");
  expect(() => compareRuns(join(folder, "absent.db"))).toThrow("does not exist");
});
