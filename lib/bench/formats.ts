import { type BenchRecord, COLUMNS } from "./record.ts";

/** How records are written for programs and for documents; the table on a terminal is table.ts. */
export const FORMATS: Readonly<Record<string, (records: readonly BenchRecord[]) => string>> = {
  md: toMarkdown,
  csv: toCsv,
  json: (records) => `${JSON.stringify(records, null, 2)}\n`,
  jsonl: (records) => records.map((record) => `${JSON.stringify(record)}\n`).join(""),
  sql: toSql,
};

export type Format = "md" | "csv" | "json" | "jsonl" | "sql";

/** The table name of `sql` and of the database. */
export const TABLE = "records";

/** A cell as text: objects and lists as JSON. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function toCsv(records: readonly BenchRecord[]): string {
  const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const rows = records.map((record) => COLUMNS.map((column) => quoted(cell(record[column]))).join(","));
  return `${[COLUMNS.join(","), ...rows].join("\n")}\n`;
}

function toMarkdown(records: readonly BenchRecord[]): string {
  const { head, rows } = summary(records);
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = `|${head.map((_, i) => (i < 2 ? "---" : "---:")).join("|")}|`;
  return `${[line(head), rule, ...rows.map(line)].join("\n")}\n`;
}

/** SQL literals; numbers that are not finite and missing values are NULL. */
function literal(value: unknown): string {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "NULL";
  if (typeof value === "boolean") return value ? "1" : "0";
  return value === null || value === undefined ? "NULL" : `'${cell(value).replaceAll("'", "''")}'`;
}

/** SQLite types by column; lists and objects are JSON text. */
const NUMBERS: ReadonlySet<string> = new Set([
  "hidden",
  "trees",
  "depth",
  "width",
  "layers",
  "batch",
  "length",
  "padded",
  "level",
  "published",
  "threads",
  "tokens",
  "ties",
  "outliers",
]);
const REALS: ReadonlySet<string> = new Set([
  "seconds_per_token",
  "tokens_per_s",
  "latency_p50",
  "latency_p90",
  "latency_p99",
  "speedup_same_level",
  "speedup_fastest_dense",
  "speedup_limit",
  "flops",
  "bytes_per_s",
  "share_of_peak_flops",
  "error",
]);

/** The columns for an INSERT: some of them are words of SQL. */
export const QUOTED = COLUMNS.map((column) => `"${column}"`).join(", ");

export const SCHEMA = `CREATE TABLE IF NOT EXISTS ${TABLE} (\n${COLUMNS.map(
  (column) => `  "${column}" ${NUMBERS.has(column) ? "INTEGER" : REALS.has(column) ? "REAL" : "TEXT"}`,
).join(",\n")}\n);\n`;

/** The values of a record in the order of COLUMNS, as SQLite stores them. */
export function values(record: BenchRecord): (string | number | null)[] {
  return COLUMNS.map((column) => {
    const value = record[column];
    if (typeof value === "boolean") return value ? 1 : 0;
    if (typeof value === "number") return Number.isFinite(value) ? value : null;
    return typeof value === "object" && value !== null ? JSON.stringify(value) : (value ?? null);
  });
}

function toSql(records: readonly BenchRecord[]): string {
  const insert = (record: BenchRecord) =>
    `INSERT INTO ${TABLE} (${QUOTED}) VALUES (${COLUMNS.map((column) => literal(record[column])).join(", ")});\n`;
  return SCHEMA + records.map(insert).join("");
}

/** "2.41 µs", "13.2 ms" */
export function seconds(value: number): string {
  for (const [unit, size] of [
    ["s", 1],
    ["ms", 1e-3],
    ["µs", 1e-6],
  ] as const) {
    if (value >= size) return `${significant(value / size)} ${unit}`;
  }
  return `${significant(value / 1e-9)} ns`;
}

/** Three significant digits, without an exponent. */
export function significant(value: number): string {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(digits);
}

const times = (value: number | null) => (value === null ? "" : `${significant(value)}x`);

function caseName(record: BenchRecord): string {
  const size = record.length === null ? `${record.batch}` : `${record.batch}x${record.length}`;
  const notes = [record.cache === "cold" ? "cold" : "", record.padded ? "padded" : ""].filter(
    (note) => note !== "",
  );
  return [size, ...notes].join(" ");
}

/** The columns a person reads. */
export function summary(records: readonly BenchRecord[]): { head: string[]; rows: string[][] } {
  const layers = records.every(({ kind }) => kind === "layer");
  const head = layers
    ? ["shape", "contender", "batch", "time/token", "same level", "fastest dense", "GFLOP/s", "GB/s", "error"]
    : ["shape", "contender", "batch", "p50", "p90", "p99", "tokens/s", "vs dense", "of peak"];
  const rows = records.map((record) => {
    const contender = [record.contender, record.blas ?? record.isa ?? ""]
      .filter((part) => part !== "")
      .join(", ");
    const start = [record.shape, contender, caseName(record)];
    return layers
      ? [
          ...start,
          seconds(record.seconds_per_token) + (record.tokens < record.batch ? ` (of ${record.tokens})` : ""),
          times(record.speedup_same_level),
          times(record.speedup_fastest_dense),
          record.flops === null ? "" : significant(record.flops / 1e9),
          record.bytes_per_s === null ? "" : significant(record.bytes_per_s / 1e9),
          record.error === null ? "" : record.error.toExponential(0),
        ]
      : [
          ...start,
          seconds(record.latency_p50),
          seconds(record.latency_p90),
          seconds(record.latency_p99),
          significant(record.tokens_per_s),
          times(record.speedup_fastest_dense),
          record.share_of_peak_flops === null ? "" : `${Math.round(100 * record.share_of_peak_flops)}%`,
        ];
  });
  return { head, rows };
}

/** The same as a table for a terminal. */
export function toTable(records: readonly BenchRecord[]): string {
  const { head, rows } = summary(records);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((text, i) => (i < 3 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)))
      .join("  ")
      .trimEnd();
  return `${[line(head), ...rows.map(line)].join("\n")}\n`;
}
