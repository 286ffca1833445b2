import { constants } from "node:fs";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { UffbError } from "../base/errors.ts";
import { isFileOfSize, repoFolder } from "./cache.ts";
import { HubClient } from "./client.ts";
import { checkSpace, diskError } from "./disk.ts";
import type { HubEnvironment } from "./environment.ts";
import { fetchBlob } from "./fetch.ts";
import { type HubFile, listRepo, resolveCommit } from "./listing.ts";
import { LocalTarget } from "./local-dir.ts";
import { checkRevision, type Repo } from "./names.ts";
import { Partials } from "./partial.ts";
import { RETRY, type RetryPolicy } from "./retry.ts";
import { type Selection, selectFiles } from "./select.ts";
import { CacheTarget, type Target } from "./target.ts";

export interface DownloadOptions {
  repo: Repo;
  environment: HubEnvironment;
  /** Branch, tag or commit; default `main`. */
  revision?: string | undefined;
  /** Patterns; see selectFiles. */
  include?: string[] | undefined;
  exclude?: string[] | undefined;
  /** Plain files in this folder instead of the cache. */
  localDir?: string | undefined;
  /** Fetch again what is there. */
  force?: boolean | undefined;
  /** Files at a time; default 8. */
  maxWorkers?: number | undefined;
  signal?: AbortSignal | undefined;
  onEvent?: ((event: DownloadEvent) => void) | undefined;
  retry?: RetryPolicy | undefined;
}

export type DownloadEvent =
  /** `bytes` of the file are on the disk; the first one announces the file. */
  | { kind: "bytes"; file: HubFile; bytes: number }
  | { kind: "done"; file: HubFile }
  | { kind: "wait"; reason: string; ms: number };

/** What a download will do. Nothing is written yet. */
export interface Plan {
  commit: string;
  target: Target;
  /** All the chosen files, and those of them that are not there yet. */
  chosen: HubFile[];
  missing: HubFile[];
  leftOut: Selection["leftOut"];
  client: HubClient;
  /** Ends all requests; the first failure does so, with itself as the reason. */
  stop: AbortController;
}

/**
 * Asks the hub what the revision holds and compares with the disk.
 * @throws UffbError when the hub cannot be asked, or no file is chosen
 */
export async function planDownload(options: DownloadOptions): Promise<Plan> {
  const { repo, environment, force = false } = options;
  const revision = checkRevision(options.revision ?? "main");
  const stop = new AbortController();
  const client = new HubClient({
    endpoint: environment.endpoint,
    token: environment.token,
    repo,
    policy: options.retry ?? RETRY,
    signal: options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal,
    onWait: (reason, ms) => options.onEvent?.({ kind: "wait", reason, ms }),
  });
  const commit = await resolveCommit(client, revision);
  const files = await listRepo(client, commit);
  const { chosen, leftOut } = selectFiles(files, repo.type, options.include ?? [], options.exclude ?? []);
  if (chosen.length === 0) {
    throw new UffbError(
      `none of the ${files.length} files of ${repo.name} is chosen; check --include, --exclude and --revision`,
    );
  }
  const target: Target =
    options.localDir === undefined
      ? new CacheTarget(environment.cacheDir, repo, revision, commit)
      : new LocalTarget(options.localDir, commit, join(repoFolder(environment.cacheDir, repo), "blobs"));
  const missing: HubFile[] = [];
  for (const file of chosen) if (force || !(await target.has(file))) missing.push(file);
  return { commit, target, chosen, missing, leftOut, client, stop };
}

/**
 * Fetches what a plan misses, verified, and returns the folder that holds it all.
 * @throws UffbError at the first failure; what arrived by then is kept, and a later run goes on from there
 */
export async function download(plan: Plan, options: DownloadOptions): Promise<string> {
  const { target, missing, chosen } = plan;
  const units = sameBytes(missing);
  try {
    const partials = await Partials.in(target.partials);
    await checkSpace(target.partials, bytesToFetch(partials, units));
    if (units.length > 0) await mkdir(target.partials, { recursive: true });
    await inParallel(units, options.maxWorkers ?? 8, plan.stop, (unit) =>
      fetchUnit(plan, partials, unit, options),
    );
    await target.finish(chosen);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw isFileError(error) ? diskError(error, error.path ?? target.result) : error;
  }
  return target.result;
}

async function fetchUnit(
  { client, target, commit }: Plan,
  partials: Partials,
  unit: HubFile[],
  options: DownloadOptions,
): Promise<void> {
  const file = unit[0]!;
  const { size, digest, path } = file;
  const partial = await partials.claim(digest.hex, size);
  const url = client.resolveUrl(commit, path);
  try {
    const copy = options.force ? undefined : await target.copyOf(file);
    if (copy !== undefined) await copyFile(copy, partial, constants.COPYFILE_FICLONE);
    await fetchBlob(client, { url, name: path, size, digest, partial }, (bytes) =>
      options.onEvent?.({ kind: "bytes", file, bytes }),
    );
    await target.store(partial, unit, partials);
  } catch (error) {
    if (await isFileOfSize(partial, 0)) await rm(partial, { force: true }).catch(() => {}); // nothing to go on from
    throw error;
  }
  await partials.sweep(digest.hex);
  options.onEvent?.({ kind: "done", file });
}

/** Files with the same bytes (empty ones, say) are fetched once. */
function sameBytes(files: HubFile[]): HubFile[][] {
  return [...Map.groupBy(files, ({ digest }) => digest.hex).values()];
}

function bytesToFetch(partials: Partials, units: HubFile[][]): number {
  return units.reduce((sum, [file]) => sum + file!.size - partials.have(file!.digest.hex, file!.size), 0);
}

/** Runs `work` over the items, `workers` at a time. The first failure stops the others, and is thrown when all have ended. */
async function inParallel<T>(
  items: T[],
  workers: number,
  stop: AbortController,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) {
      if (stop.signal.aborted) return;
      await work(item).catch((error) => stop.abort(error)); // only the first call sets the reason
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, items.length) }, worker));
  stop.signal.throwIfAborted();
}

function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && !(error instanceof UffbError) && "syscall" in error;
}
