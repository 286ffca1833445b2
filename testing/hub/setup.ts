import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { type DownloadEvent, type DownloadOptions, download, planDownload } from "../../lib/hub/download.ts";
import { RETRY, type RetryPolicy } from "../../lib/hub/retry.ts";
import type { FakeHub } from "./fake-hub.ts";

/** A new folder for one test; `clean()` removes it. */
export function scratch(): { path: string; clean: () => void } {
  const path = mkdtempSync(join(tmpdir(), "uffb-hub-"));
  return { path, clean: () => rmSync(path, { recursive: true, force: true }) };
}

/** Waits no time but tells how long it would have. */
export function impatient(waits: number[] = [], changes: Partial<RetryPolicy> = {}): RetryPolicy {
  return {
    ...RETRY,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      waits.push(ms);
    },
    ...changes,
  };
}

/** Downloads from the fake hub to `cacheDir`; resolves to the folder, the events and the waits. */
export async function fetchAll(
  hub: FakeHub,
  cacheDir: string,
  changes: Partial<DownloadOptions> & { token?: string } = {},
) {
  const events: DownloadEvent[] = [];
  const waits: number[] = [];
  const { token, ...rest } = changes;
  const options: DownloadOptions = {
    repo: { type: "model", name: hub.name },
    environment: { endpoint: hub.endpoint, cacheDir, token, offline: false },
    onEvent: (event) => events.push(event),
    retry: impatient(waits),
    ...rest,
  };
  const plan = await planDownload(options);
  return { folder: await download(plan, options), plan, events, waits };
}

/** All files below a folder as `path`, `path -> link` or `path (bytes)`, sorted. */
export function tree(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const name = relative(folder, path);
      return entry.isSymbolicLink() ? `${name} -> ${readlinkSync(path)}` : `${name} (${statSync(path).size})`;
    })
    .sort();
}

/** Bytes that differ everywhere, so that a wrong offset shows. */
export function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = seed;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** The blobs of a repository whose bytes are not what their name says; partial files aside. */
export function wrongBlobs(cacheDir: string): string[] {
  if (!existsSync(cacheDir)) return [];
  const paths = [...new Bun.Glob("*/blobs/*").scanSync({ cwd: cacheDir, dot: true })];
  return paths.filter((path) => {
    const name = basename(path);
    if (name.endsWith(".incomplete")) return false;
    const bytes = readFileSync(join(cacheDir, path));
    const hash = createHash(name.length === 64 ? "sha256" : "sha1");
    if (name.length === 40) hash.update(`blob ${bytes.length}\0`);
    return hash.update(bytes).digest("hex") !== name;
  });
}
