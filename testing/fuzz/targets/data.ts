/** Data sets, and what is compared with models. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { UffbError } from "../../../lib/base/errors.ts";
import { readCsv, readTsv, type TableOptions } from "../../../lib/data/delimited.ts";
import { loadSplit } from "../../../lib/data/load.ts";
import { expandMultirc } from "../../../lib/data/multirc.ts";
import { readTable } from "../../../lib/data/own/table.ts";
import { findTasks } from "../../../lib/data/tasks.ts";
import { parsePredictions, predictionLines } from "../../../lib/eval/glue/predictions.ts";
import { openExpected } from "../../../lib/eval/verify/expected.ts";
import { openModel } from "../../../lib/model/model.ts";
import { readJsonl } from "../../../lib/rows/jsonl.ts";
import { readParquet } from "../../../lib/rows/parquet.ts";
import type { BadRow, Row } from "../../../lib/rows/rows.ts";
import { fileSource, openSource } from "../../../lib/rows/source.ts";
import { readQueries } from "../../../lib/run/similar.ts";
import { forgeParquet } from "../../parquet.ts";
import { encode, FIXTURES, files, ownFolder, type Target, withFile } from "./common.ts";

const COLUMNS = ["sentence1", "sentence2", "sentence", "label", "premise", "idx.question"];

/** Asks for what a task asks for. A file with a row that cannot be read counts as refused. */
function useRows(rows: Iterable<Row | BadRow>): void {
  let bad: BadRow | undefined;
  for (const row of rows) {
    if ("error" in row) bad ??= row;
    else for (const column of COLUMNS) row.get([column]);
  }
  if (bad) throw new UffbError(bad.error);
}

const TABLE: TableOptions = { source: "case", required: [] };
const HEADED: TableOptions = {
  source: "case",
  required: [["label", "is_duplicate", "quality", "score", "gold_label"]],
};

async function gzipped(): Promise<Uint8Array[]> {
  return (await files("glue/{RTE,STS-B}/dev.tsv")).map((file) => Bun.gzipSync(new Uint8Array(file)));
}

/** Tasks whose rows are read in ways of their own, and a file of each. */
const TASK_FILES = [
  ["cola", "CoLA/dev.tsv"],
  ["stsb", "STS-B/dev.tsv"],
  ["mnli-m", "MNLI/dev_matched.tsv"],
  ["copa", "COPA/val.jsonl"],
  ["multirc", "MultiRC/val.jsonl"],
  ["wsc", "WSC/val.jsonl"],
] as const;

export const DATA: Readonly<Record<string, Target>> = {
  parquet: {
    seeds: async () => [
      ...(await files("glue/hub/**/*.parquet")),
      forgeParquet(5, [{ name: "sentence1" }, { name: "label" }], "text"),
    ],
    read: async (bytes) => useRows(await readParquet(new Uint8Array(bytes), "case")),
  },
  tsv: {
    seeds: () => files("glue/{RTE,SST-2,WNLI,QNLI}/dev.tsv"),
    read: (bytes) => useRows(readTsv(bytes, HEADED)),
  },
  csv: {
    seeds: async () => [
      ...(await files("glue/MNLI-csv/*.csv")),
      encode('a,b\n"quoted ""text"", with\na line",2\r\nx,y\n'),
      encode("\ufeffa\n\n1\n"),
    ],
    read: (bytes) => useRows(readCsv(bytes, TABLE)),
  },
  jsonl: {
    seeds: () => files("glue/{RTE,MultiRC,WSC,BoolQ}/val.jsonl"),
    read(bytes) {
      useRows(readJsonl(bytes));
      for (const _ of readJsonl(bytes, expandMultirc));
    },
  },
  table: {
    seeds: async () => [
      ...(await files("glue/{RTE/dev.tsv,RTE/val.jsonl,MNLI-csv/*.csv}")),
      forgeParquet(3, [{ name: "text" }, { name: "label" }]),
      ...(await gzipped()),
    ],
    read: withFile("case", async (path) => {
      const { rows, columns, bad } = await readTable(path);
      for (const row of rows) for (const column of columns) row.get([column]);
      if (bad[0]) throw new UffbError(bad[0].error);
    }),
  },
  predictions: {
    seeds: async () =>
      [1, 2, 3].map((classes) =>
        encode(
          predictionLines(
            Array.from({ length: 20 }, (_, index) => ({
              index,
              label: index % classes,
              prediction: (index * 7) % classes,
              logits: Array.from({ length: classes }, (_, c) => c / 3),
              ...(classes === 3 && { group: `q${index % 5}` }),
            })),
          ),
        ),
      ),
    read: (bytes) => void predictionLines(parsePredictions(bytes, "case")),
  },
  expected: {
    seeds: () => files("reference/{fff-1x5,dense-ff,cls-2}/expected.safetensors"),
    read: withFile("expected.safetensors", async (path) => {
      // Of three models, one is the file's.
      const failures: unknown[] = [];
      for (const name of ["fff-1x5", "dense-ff", "cls-2"]) {
        using model = await openModel(join(FIXTURES, "reference", name));
        try {
          const { sequences, stages } = openExpected(path, model);
          let last = 0;
          for (const { index } of sequences) last = index;
          for (const { row } of stages.values()) row(last);
          return;
        } catch (error) {
          if (!(error instanceof UffbError)) throw error;
          failures.push(error);
        }
      }
      throw failures[0];
    }),
  },
  // Of six tasks, one is the file's.
  task: {
    seeds: async () =>
      TASK_FILES.map(([, name]) => new Uint8Array(readFileSync(join(FIXTURES, "glue", name)))),
    async read(bytes) {
      const folder = join(ownFolder(), "glue");
      const failures: unknown[] = [];
      for (const [name, file] of TASK_FILES) {
        const path = join(folder, file);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, bytes);
        const [task] = findTasks([name]);
        const data = await loadSplit(task!, "dev", { data: folder }).catch((error) => {
          if (!(error instanceof UffbError)) throw error;
          failures.push(error);
        });
        rmSync(path);
        if (data?.bad.length === 0) return;
        if (data) failures.push(new UffbError(data.bad[0]!.error));
      }
      throw failures[0];
    },
  },
  unpacking: {
    seeds: async () =>
      (await files("glue/{RTE/dev.tsv,RTE/val.jsonl}")).flatMap((file) => [
        Bun.gzipSync(new Uint8Array(file)),
        new Uint8Array(execFileSync("xz", ["-c"], { input: file })),
      ]),
    read: withFile("case", async (path) => {
      const source = await fileSource(path);
      try {
        for await (const _ of (await openSource(source, { bounded: true })).stream);
      } finally {
        await source.close?.();
      }
    }),
  },
  queries: {
    seeds: async () => ["one\n", "one\ntwo\r\n\nthree", "\ufeffone"].map(encode),
    read: withFile("queries.txt", async (path) => void (await readQueries(path))),
  },
};
