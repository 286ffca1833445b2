import { UffbError } from "../base/errors.ts";
import { readRegular } from "../base/read.ts";
import { readJsonl } from "../rows/jsonl.ts";
import { readParquet } from "../rows/parquet.ts";
import type { BadRow, Row } from "../rows/rows.ts";
import { readCsv, readTsv, type TableOptions } from "./delimited.ts";
import { type Example, toExample } from "./examples.ts";
import { expectedPlaces, type Found, findInCache, findInFolder, REPOSITORIES } from "./find.ts";
import { expandMultirc } from "./multirc.ts";
import type { Split, Task } from "./tasks.ts";

/** A split of a task: every row of its files is in `examples` or in `bad`. */
export interface Dataset {
  task: Task;
  split: Split;
  files: string[];
  examples: Example[];
  /** Rows that cannot be read, with the file each is in. */
  bad: (BadRow & { file: string })[];
  /** What a user should know: rows that cannot be read, a number of rows that is not the published one. */
  warnings: string[];
}

/** A task's data were not found in any of the places that were searched. */
export class MissingData extends UffbError {
  override name = "MissingData";
}

export interface DataOptions {
  /** A folder with the benchmark's own folders in it, or that of one task; the Hugging Face cache when absent. */
  data?: string | undefined;
  /** The Hugging Face cache, where it is not the usual one. */
  cacheDir?: string | undefined;
  /** Fetches a split that is in neither, into the cache. */
  download?: ((task: Task, split: Split) => Promise<void>) | undefined;
}

/**
 * Reads a split of a task. @throws UffbError when it is nowhere (naming both ways to give it), is not what it should be, or has no row
 * that can be read.
 */
export async function loadSplit(task: Task, split: Split, options: DataOptions = {}): Promise<Dataset> {
  const found = await locate(task, split, options);
  const dataset: Dataset = { task, split, files: found.files, examples: [], bad: [], warnings: [] };
  let index = 0;
  for (const file of found.files) {
    for await (const row of readRows(task, split, found, file, index + 1)) {
      const example = "error" in row ? row : unlabelled(toExample(task, row, index), split);
      if ("error" in example) dataset.bad.push({ ...example, file });
      else dataset.examples.push(example);
      index++;
    }
  }
  dataset.warnings = warnings(dataset);
  if (dataset.examples.length === 0) {
    throw new UffbError(dataset.warnings[0] ?? `${found.files[0]}: no rows; fetch it again`);
  }
  return dataset;
}

async function locate(task: Task, split: Split, options: DataOptions): Promise<Found> {
  const { data, cacheDir, download } = options;
  const what = `${task.title} ${split}`;
  if (data !== undefined) {
    const found = await findInFolder(task, split, data);
    if (found) return found;
    throw new MissingData(`${data}: no ${what} data; it should hold one of ${expectedPlaces(task, split)}`);
  }
  const repository = REPOSITORIES[task.suite];
  const both = `give --data FOLDER with ${expectedPlaces(task, split)}, or run "uffb download --dataset ${repository}" where there is a network`;
  let found = await findInCache(task, split, cacheDir);
  if (found === undefined && download) {
    try {
      await download(task, split);
    } catch (error) {
      throw new MissingData(`no ${what} data: ${(error as Error).message}; ${both}`);
    }
    found = await findInCache(task, split, cacheDir);
  }
  if (found === undefined) throw new MissingData(`no ${what} data in the cache; ${both}`);
  return found;
}

/** Largest file of a data set, in bytes; the largest in use has 50 million. */
const MAX_BYTES = 2 ** 30;

async function* readRows(
  task: Task,
  split: Split,
  found: Found,
  file: string,
  first: number,
): AsyncGenerator<Row | BadRow> {
  const bytes = readRegular(file, { most: MAX_BYTES });
  const table: TableOptions = {
    source: file,
    required: split === "test" ? task.texts : [...task.texts, task.label],
    headerless: task.headerless,
  };
  switch (found.format) {
    case "tsv":
      return yield* readTsv(bytes, table);
    case "csv":
      return yield* readCsv(bytes, table);
    case "jsonl":
      return yield* readJsonl(bytes, task.name === "multirc" ? expandMultirc : undefined);
    case "parquet":
      return yield* await readParquet(bytes, file, first);
  }
}

/** Only the test sets keep their labels to themselves. */
function unlabelled(example: Example | BadRow, split: Split): Example | BadRow {
  if ("error" in example || split === "test" || example.label !== undefined) return example;
  return { line: example.line, error: "no label" };
}

function warnings({ task, split, files, examples, bad }: Dataset): string[] {
  const found: string[] = [];
  const [worst] = bad;
  if (worst) {
    const others = bad.length > 1 ? ` and ${bad.length - 1} more` : "";
    found.push(`${worst.file}:${worst.line}${others} cannot be read (${worst.error}); left out`);
  }
  const rows = examples.length + bad.length;
  const published = task.rows[split];
  if (published !== undefined && rows !== published) {
    found.push(`${files[0]}: ${rows} rows, where ${task.title} ${split} has ${published}`);
  }
  return found;
}
