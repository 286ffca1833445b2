import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { UffbError } from "../base/errors.ts";
import { cachedSnapshot } from "../hub/cache.ts";
import type { Split, Task } from "./tasks.ts";

export type Format = "tsv" | "csv" | "jsonl" | "parquet";

/** The file of a split, or its files where it is cut into several (parquet only). */
export interface Found {
  format: Format;
  files: string[];
}

/** What a split is called in file names: by the suite's authors, then by the hub. */
const STEMS: Record<Split, Record<Task["suite"], readonly string[]>> = {
  train: { glue: ["train"], superglue: ["train"] },
  dev: { glue: ["dev", "validation"], superglue: ["val", "validation"] },
  test: { glue: ["test"], superglue: ["test"] },
};

/** The formats a suite comes in, the one its authors publish first. */
const FORMATS: Record<Task["suite"], readonly Format[]> = {
  glue: ["tsv", "csv", "parquet"],
  superglue: ["jsonl", "parquet"],
};

/** The data sets on the hub. */
export const REPOSITORIES: Record<Task["suite"], string> = {
  glue: "nyu-mll/glue",
  superglue: "aps/super_glue",
};

/**
 * Finds a split below a folder: in the task's own folder there (whatever its case, or the hub's name for it), or in the folder itself.
 * @returns undefined when it is not there. @throws UffbError when the folder cannot be read, or parts of a split are missing.
 */
export async function findInFolder(task: Task, split: Split, folder: string): Promise<Found | undefined> {
  const inside = await list(folder, true);
  const names = [task.folder, ...task.configs].map((name) => name.toLowerCase());
  const rank = (name: string) => names.indexOf(name.toLowerCase());
  const own = inside.filter((name) => rank(name) >= 0).sort((a, b) => rank(a) - rank(b));
  for (const place of [...own.map((name) => join(folder, name)), folder]) {
    const found = match(task, split, place, await list(place, false));
    if (found) return found;
  }
  return undefined;
}

/** Names in a folder. Anything but a folder counts as empty, except where the user named it. */
async function list(folder: string, named: boolean): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!named && (code === "ENOTDIR" || code === "ENOENT")) return [];
    throw new UffbError(
      `${folder}: cannot be read as a folder (${code}); give --data a folder with GLUE's own folders in it`,
    );
  }
}

function match(task: Task, split: Split, folder: string, names: readonly string[]): Found | undefined {
  for (const format of FORMATS[task.suite]) {
    for (const stem of stems(task, split)) {
      const whole = names.find((name) => name.toLowerCase() === `${stem}.${format}`.toLowerCase());
      if (whole) return { format, files: [join(folder, whole)] };
      if (format !== "parquet") continue;
      const parts = names.filter(
        (name) => name.startsWith(`${stem}-`) && /^-\d{5}-of-\d{5}\.parquet$/.test(name.slice(stem.length)),
      );
      if (parts.length === 0) continue;
      const total = Number(parts[0]!.slice(-"00000.parquet".length, -".parquet".length));
      if (parts.length !== total)
        throw new UffbError(`${folder}: ${parts.length} of ${total} parts of ${stem}; fetch the rest`);
      return { format, files: parts.map((name) => join(folder, name)) };
    }
  }
  return undefined;
}

/** Beginnings of file names, such as `dev_matched`. */
function stems(task: Task, split: Split): string[] {
  if (task.file !== undefined) return split === "dev" ? [task.file, "test"] : [];
  const names = STEMS[split][task.suite];
  return task.suffix === undefined || split === "train"
    ? [...names]
    : names.map((stem) => stem + task.suffix);
}

/** Finds a split in the Hugging Face cache; undefined when it is not there. `cacheDir` is the cache, where it is not the usual one. */
export async function findInCache(task: Task, split: Split, cacheDir?: string): Promise<Found | undefined> {
  const snapshot = cachedSnapshot(REPOSITORIES[task.suite], { type: "dataset", cacheDir });
  if (snapshot === undefined) return undefined;
  for (const config of task.configs) {
    const folder = join(snapshot, config);
    const found = match(task, split, folder, await list(folder, false));
    if (found) return found;
  }
  return undefined;
}

/** Patterns of the hub's files of a split. */
export function hubFiles(task: Task, split: Split): string[] {
  return [`${task.configs[0]}/${stems(task, split).at(-1)}-*.parquet`];
}

/** Where a split lies, for the message that it does not. */
export function expectedPlaces(task: Task, split: Split): string {
  const [own, hub] = [stems(task, split)[0]!, stems(task, split).at(-1)!];
  return FORMATS[task.suite].map((f) => join(task.folder, `${f === "parquet" ? hub : own}.${f}`)).join(", ");
}
