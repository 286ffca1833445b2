import { readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { UffbError } from "../base/errors.ts";
import { requireSnapshot } from "./cache.ts";
import type { DownloadOptions } from "./download.ts";
import { selectPaths } from "./select.ts";

/**
 * What `download` returns when the network may not be used: the folder, provided that it is there and no link in it is broken.
 * @throws UffbError
 */
export function offlineDownload(options: DownloadOptions): string {
  const { repo, environment, localDir, revision, include = [], exclude = [] } = options;
  const { cacheDir } = environment;
  const folder = localDir ?? requireSnapshot(repo.name, { type: repo.type, revision, cacheDir });
  let paths: string[];
  try {
    paths = filesBelow(folder);
  } catch {
    throw new UffbError(
      `${folder} is not there, and the network is switched off; run again without --offline`,
    );
  }
  const broken = paths.find((path) => !statSync(join(folder, path), { throwIfNoEntry: false })?.isFile());
  if (broken !== undefined) {
    throw new UffbError(
      `${join(folder, broken)} has lost its bytes; run again without --offline to fetch them`,
    );
  }
  if (selectPaths(paths, include, exclude).length === 0) {
    throw new UffbError(`${folder} holds no file that is asked for; run again without --offline to fetch it`);
  }
  return folder;
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
