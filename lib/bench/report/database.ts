import { Database } from "bun:sqlite";
import { existsSync, statSync } from "node:fs";
import { UffbError } from "../../base/errors.ts";
import { tryJson } from "../../base/json.ts";
import { median } from "../../base/statistics.ts";
import { type BenchRecord, COLUMN_NAMES } from "../measure/record.ts";
import { rankTest } from "../measure/statistics.ts";
import { QUOTED, SCHEMA, TABLE, values } from "./formats.ts";

/**
 * Opens or makes a database of records.
 *
 * @throws UffbError when the file is something else
 */
export function openDatabase(path: string): Database {
  // SQLite would write to a device as if it were a file.
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) {
    throw new UffbError(`${path}: is not a file; name another one for the database`);
  }
  let database: Database | undefined;
  try {
    database = new Database(path, { create: true, readwrite: true });
    database.run(SCHEMA);
    const columns = database.query(`PRAGMA table_info(${TABLE})`).all() as { name: string }[];
    const missing = COLUMN_NAMES.filter((column) => !columns.some(({ name }) => name === column));
    if (missing.length > 0) throw new Error(`its table ${TABLE} lacks ${missing.join(", ")}`);
    return database;
  } catch (error) {
    database?.close();
    throw noDatabase(path, error);
  }
}

function noDatabase(path: string, error: unknown): UffbError {
  const why = (error as Error).message;
  return new UffbError(`${path}: no database of benchmark records (${why}); name another file`);
}

/** Appends all of the records or none. */
export function append(database: Database, records: readonly BenchRecord[]): void {
  const insert = database.prepare(
    `INSERT INTO ${TABLE} (${QUOTED}) VALUES (${COLUMN_NAMES.map(() => "?").join(", ")})`,
  );
  database.transaction(() => {
    for (const record of records) insert.run(...values(record));
  })();
}

/** A case and contender that was measured at two dates. */
export interface Comparison {
  name: string;
  before: string;
  after: string;
  /** Seconds a token, before and after. */
  times: readonly [number, number];
  /** How likely such a difference is by chance. */
  p: number;
  verdict: "slower" | "faster" | "same";
}

interface Row {
  name: string;
  date: string;
  /** Of each call, seconds a token. */
  times: readonly number[];
}

/** Differences smaller than this are not called any, however certain. */
const LEAST = 0.03;
const SIGNIFICANT = 0.01;

/**
 * Compares the newest run of each case with the one before it on the same machine, by a rank test over the raw samples.
 *
 * @throws UffbError when the file is missing or holds no two runs of anything
 */
export function compareRuns(path: string): Comparison[] {
  if (!existsSync(path)) throw new UffbError(`${path} does not exist; uffb bench --db ${path} makes it`);
  const rows = readRows(path);
  const groups = Map.groupBy(rows, ({ name, cpu }) => `${cpu}\n${name}`);
  const comparisons: Comparison[] = [];
  for (const runs of groups.values()) {
    const after = runs.at(-1)!;
    const before = runs.findLast(({ date }) => date < after.date);
    if (before !== undefined) comparisons.push(compare(before, after));
  }
  if (comparisons.length === 0)
    throw new UffbError(`${path} holds no case that was measured twice; run uffb bench --db ${path} again`);
  return comparisons;
}

/** What is compared of all records, by date. @throws UffbError when the file is damaged, or other programs wrote to it */
function readRows(path: string): (Row & { cpu: string })[] {
  using database = openDatabase(path);
  try {
    const found = database
      .query(
        `SELECT concat_ws(' ', kind, case_shape, iif(shape = case_shape, NULL, shape), contender, coalesce(blas, isa),
         'hidden', hidden, 'batch', batch || coalesce('x' || length, ''), cache, paths, dtype, iif(threads, 'threads ' || threads, NULL), device,
         iif(padded, 'padded', NULL)) AS name,
         date, tokens, samples, json_extract(machine, '$.cpu') AS cpu FROM ${TABLE} ORDER BY date`,
      )
      .all() as Record<string, unknown>[];
    return found.map(({ name, date, cpu, samples, tokens }) => {
      const seconds = tryJson(String(samples));
      const times = "value" in seconds && Array.isArray(seconds.value) ? seconds.value : [];
      if (times.length === 0 || ![...times, tokens].every(Number.isFinite))
        throw new Error("one has no times of its calls");
      return {
        name: String(name),
        date: String(date),
        cpu: String(cpu),
        times: times.map((time) => time / Number(tokens)),
      };
    });
  } catch (error) {
    throw noDatabase(path, error);
  }
}

function compare(before: Row, after: Row): Comparison {
  const times = [median(before.times), median(after.times)] as const;
  const p = rankTest(before.times, after.times);
  const change = times[1] / times[0] - 1;
  const certain = p < SIGNIFICANT && Math.abs(change) > LEAST;
  return {
    name: after.name,
    before: before.date,
    after: after.date,
    times,
    p,
    verdict: certain ? (change > 0 ? "slower" : "faster") : "same",
  };
}
