import { type BenchRecord, COLUMN_NAMES, COLUMNS } from "../measure/record.ts";
import { toMarkdown } from "./markdown.ts";

/** How records are written for programs and for documents. */
export const FORMATS = {
  md: toMarkdown,
  csv: toCsv,
  json: (records: readonly BenchRecord[]) => `${JSON.stringify(records, null, 2)}\n`,
  jsonl: (records: readonly BenchRecord[]) => records.map((record) => `${JSON.stringify(record)}\n`).join(""),
  sql: toSql,
} as const;

export type Format = keyof typeof FORMATS;
export const FORMAT_NAMES = Object.keys(FORMATS) as Format[];

/** The table name of `sql` and of the database. */
export const TABLE = "records";

/** A cell as text: objects and lists as JSON. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function toCsv(records: readonly BenchRecord[]): string {
  const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const rows = records.map((record) => COLUMN_NAMES.map((name) => quoted(cell(record[name]))).join(","));
  return `${[COLUMN_NAMES.join(","), ...rows].join("\n")}\n`;
}

/** SQL literals; numbers that are not finite and missing values are NULL. */
function literal(value: string | number | null): string {
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value ?? "NULL");
}

/** The columns for an INSERT: some of them are words of SQL. */
export const QUOTED = COLUMN_NAMES.map((name) => `"${name}"`).join(", ");

export const SCHEMA = `CREATE TABLE IF NOT EXISTS ${TABLE} (\n${COLUMN_NAMES.map((name, i) => {
  const [type, meaning] = COLUMNS[name];
  const comma = i + 1 < COLUMN_NAMES.length ? "," : "";
  return `  "${name}" ${type}${comma}${meaning === "" ? "" : ` -- ${meaning}`}`;
}).join("\n")}\n);\n`;

/** The values of a record in the order of the columns, as SQLite stores them. */
export function values(record: BenchRecord): (string | number | null)[] {
  return COLUMN_NAMES.map((name) => {
    const value = record[name];
    if (typeof value === "boolean") return value ? 1 : 0;
    if (typeof value === "number") return Number.isFinite(value) ? value : null;
    return typeof value === "object" && value !== null ? JSON.stringify(value) : (value ?? null);
  });
}

function toSql(records: readonly BenchRecord[]): string {
  const insert = (record: BenchRecord) =>
    `INSERT INTO ${TABLE} (${QUOTED}) VALUES (${values(record).map(literal).join(", ")});\n`;
  return SCHEMA + records.map(insert).join("");
}
