import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { record } from "../../../testing/bench-record.ts";
import { UffbError } from "../../base/errors.ts";
import { COLUMN_NAMES } from "../measure/record.ts";
import { append, compareRuns, openDatabase } from "./database.ts";
import { FORMAT_NAMES, FORMATS, TABLE } from "./formats.ts";
import { toTable } from "./table.ts";
import { seconds, significant } from "./units.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each(FORMAT_NAMES)("%s has every record, and ends its last line", (format) => {
  const text = FORMATS[format]([record({ contender: "first" }), record({ contender: "second" })]);
  expect(text.split("\n").filter((line) => /first|second/.test(line)).length).toBeGreaterThan(1);
  expect(text).toEndWith("\n");
});

test("JSON and JSON lines give the records back", () => {
  const records = [record(), record({ blas: "openblas", level: 3 })];
  expect(JSON.parse(FORMATS.json(records))).toEqual(records);
  expect(
    FORMATS.jsonl(records)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual(records);
});

test("CSV quotes what needs it and has a cell a column", () => {
  const [head, row] = FORMATS.csv([record()]).split("\n");
  expect(head).toBe(COLUMN_NAMES.join(","));
  expect(row).toContain('"fff ""ours"", it\'s"');
  expect(row).toContain('"[0.03,0.031,0.032]"');
});

test("the SQL runs, and holds the values", () => {
  using database = new Database(":memory:");
  database.run(FORMATS.sql([record(), record({ speedup_same_level: Number.NaN })]));
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
  expect(FORMATS.md([record({ contender: "a|b" })])).toContain("a\\|b");
  expect(text).toContain("19%"); // 64.4 of 341
  expect(seconds(1.5)).toBe("1.50 s");
  expect(significant(1234.5)).toBe("1235");
});

test("tables tell what was in the caches", () => {
  const text = toTable([
    record({ batch: 1, cache: "rotated" }),
    record({ batch: 1, cache: "cold" }),
    record({ batch: 16 }),
  ]);
  expect(text.match(/ 1 rotated | 1 cold | 16 /g)).toEqual([" 1 rotated ", " 1 cold ", " 16 "]);
});

test("tables tell narrower weights", () => {
  const text = toTable([record(), record({ dtype: "bf16" })]);
  expect(text.match(/avx512(, bf16)? /g)).toEqual(["avx512 ", "avx512, bf16 "]);
});

test("layers and models of one run make an overview, the best of each shape", () => {
  const model = record({
    kind: "model",
    layers: 16,
    batch: 1,
    length: 128,
    contender: "1x11 f32",
    tokens_per_s: 3000,
  });
  const slower = record({ contender: "fff level 1", seconds_per_token: 9e-6, speedup_fastest_dense: 13 });
  const [head, first, ...rest] = toTable([slower, record(), model]).split("\n");
  expect(head).toMatch(/^shape +neurons +a token +layer/);
  expect(first).toMatch(/^1x11 +4095 +12 +1.89 µs at 16384 +64.4x .* at 1x128 +3000 +64.4x$/);
  expect(rest[0]).toBe("");
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

test("states of the caches are cases of their own, and rows of before there was a third remain", () => {
  const path = join(folder, "states.db");
  const old = record({ batch: 1, cache: "cold", date: "2026-01-01" });
  {
    using database = openDatabase(path);
    append(database, [old]);
  }
  using database = openDatabase(path);
  append(database, [
    { ...old, cache: "rotated", date: "2026-01-02", samples: [1, 2, 3] },
    { ...old, date: "2026-01-02" },
  ]);
  const comparisons = compareRuns(path);
  expect(comparisons.map(({ name, verdict }) => [/ cold /.test(name), verdict])).toEqual([[true, "same"]]);
});

test("what is no database of records is refused, and left as it is", () => {
  const text = join(folder, "notes.txt");
  writeFileSync(text, "these are notes, and no database at all ".repeat(100));
  expect(() => openDatabase(text)).toThrow("no database of benchmark records");
  const other = join(folder, "other.db");
  new Database(other).run(`CREATE TABLE ${TABLE} (a)`);
  expect(() => openDatabase(other)).toThrow("lacks kind, case_shape");
  expect(() => compareRuns(join(folder, "absent.db"))).toThrow("does not exist");
});

test.each([
  ["samples = 'null'", "no times"],
  ["samples = '[]'", "no times"],
  [`samples = '["a"]'`, "no times"],
  ["samples = x'ff'", "no times"],
  ["tokens = 'many'", "no times"],
  ["machine = '{'", "malformed JSON"],
])("records that another program wrote are refused: %s", (change, message) => {
  const path = join(folder, "foreign.db");
  rmSync(path, { force: true });
  {
    using database = openDatabase(path);
    append(database, [record({ date: "2026-01-01" }), record({ date: "2026-01-02" })]);
    database.run(`UPDATE ${TABLE} SET ${change}`);
  }
  expect(() => compareRuns(path)).toThrow(UffbError);
  expect(() => compareRuns(path)).toThrow(message);
});

test("a database that is damaged behind its header is refused", () => {
  const path = join(folder, "damaged.db");
  {
    using database = openDatabase(path);
    append(
      database,
      Array.from({ length: 200 }, (_, i) => record({ date: `2026-01-${i}` })),
    );
  }
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.fill(0xff, 8192));
  expect(() => compareRuns(path)).toThrow(UffbError);
});

test.each([80, 140])("tables fit a terminal of %d columns", (columns) => {
  const layers = [
    record({ contender: "fff level 1", level: 1, blas: "openblas", isa: null, speedup_same_level: 78.1 }),
    record({ contender: "fff level 3", tokens: 5739, blas: "openblas", isa: null }),
    record({ contender: "dense level 3", shape: "dense 4095", trees: 0, batch: 1, cache: "rotated" }),
  ];
  const model = { kind: "model", layers: 16, batch: 8, length: 128, padded: true, threads: 16 } as const;
  const dense = { ...model, shape: "dense 3072", contender: "dense 3072 int8", isa: "avx512vnni" };
  const models = [record(dense), record({ ...dense, padded: false })];
  for (const records of [layers, models, [...layers, ...models]]) {
    const lines = toTable(records, columns).split("\n");
    expect(lines.filter((line) => Bun.stringWidth(line) > columns)).toEqual([]);
    expect(lines[0]).toMatch(/vs dense/);
  }
});
