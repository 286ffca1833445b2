/** The database of measurements. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { COLUMN_NAMES } from "../../../lib/bench/measure/record.ts";
import { compareRuns, openDatabase } from "../../../lib/bench/report/database.ts";
import { QUOTED, TABLE } from "../../../lib/bench/report/formats.ts";
import { ownFolder, type Target, withFile } from "./common.ts";

/** Two dates of a case, in a file each way that SQLite may keep one. */
function databases(): Uint8Array[] {
  return ["DELETE", "WAL", "MEMORY"].map((journal) => {
    const path = join(ownFolder(), `seed-${journal}.db`);
    {
      using database = openDatabase(path);
      const insert = database.prepare(
        `INSERT INTO ${TABLE} (${QUOTED}) VALUES (${COLUMN_NAMES.map(() => "?").join(", ")})`,
      );
      for (const date of ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]) {
        const row: Record<string, unknown> = {
          kind: "layer",
          case_shape: "1x5",
          shape: "1x5",
          tokens: 4,
          date,
          samples: "[1, 2, 3]",
          machine: '{"cpu":"x"}',
        };
        insert.run(...COLUMN_NAMES.map((name) => (row[name] ?? 1) as string | number));
      }
      if (journal === "WAL") database.run("VACUUM");
    }
    return new Uint8Array(readFileSync(path));
  });
}

export const BENCH: Readonly<Record<string, Target>> = {
  database: {
    seeds: async () => databases(),
    read: withFile("bench.db", (path) => void compareRuns(path)),
  },
};
