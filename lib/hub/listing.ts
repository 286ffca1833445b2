import { UffbError } from "../base/errors.ts";
import type { HubClient } from "./client.ts";
import { COMMIT, checkFileName } from "./names.ts";
import { TryAgain } from "./retry.ts";
import type { Digest } from "./verify.ts";

/** One file of a repository at one commit. */
export interface HubFile {
  /** Checked: safe to join to a folder. */
  path: string;
  size: number;
  /** What its bytes hash to. The hex is also the file's ETag and the name of its blob. */
  digest: Digest;
}

const MAX_FILES = 100_000;

// @huggingface/hub has the hub's API right (listing, pages, revisions). It takes 0.1 s to load, so only here and only when
// needed. Its downloads neither resume nor check hashes and share one temporary file, so those are our own (fetch.ts).
const library = () => import("@huggingface/hub");

/** The commit that a branch, tag or `refs/pr/N` has now. */
export async function resolveCommit(client: HubClient, revision: string): Promise<string> {
  if (COMMIT.test(revision)) return revision;
  const { datasetInfo, modelInfo } = await library();
  const about = {
    name: client.repo.name,
    revision,
    hubUrl: client.endpoint,
    fetch: client.api as unknown as typeof fetch,
  };
  const info: { sha?: unknown } = await understood(client, () =>
    client.repo.type === "dataset"
      ? datasetInfo({ ...about, additionalFields: ["sha"] })
      : modelInfo({ ...about, additionalFields: ["sha"] }),
  );
  if (typeof info.sha !== "string" || !COMMIT.test(info.sha)) throw strange(client);
  return info.sha;
}

/**
 * All files of the repository at a commit.
 * @throws UffbError when a name, size or hash is not one, or two names cannot both be files
 */
export async function listRepo(client: HubClient, commit: string): Promise<HubFile[]> {
  const { listFiles } = await library();
  return understood(client, async () => {
    const files = new Map<string, HubFile>();
    const entries = listFiles({
      repo: client.repo,
      recursive: true,
      revision: commit,
      hubUrl: client.endpoint,
      fetch: client.api as unknown as typeof fetch,
    });
    for await (const entry of entries) {
      if (entry.type === "directory") continue;
      if (files.size === MAX_FILES)
        throw new UffbError(`${client.repo.name} has more than ${MAX_FILES} files`);
      const file = parseEntry(entry);
      if (file === undefined || files.has(file.path)) throw strange(client);
      files.set(file.path, file);
    }
    for (const path of files.keys()) {
      for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
        if (files.has(path.slice(0, slash))) throw strange(client);
      }
    }
    return [...files.values()];
  });
}

/** A file as the tree API has it, or undefined when it is malformed. */
function parseEntry(entry: {
  path?: unknown;
  size?: unknown;
  oid?: unknown;
  lfs?: unknown;
}): HubFile | undefined {
  if (typeof entry?.path !== "string") return undefined;
  const path = checkFileName(entry.path);
  const lfs = entry.lfs as { oid?: unknown; size?: unknown } | undefined | null;
  const size = lfs ? lfs.size : entry.size;
  const hex = lfs ? lfs.oid : entry.oid;
  if (!Number.isSafeInteger(size) || (size as number) < 0) return undefined;
  if (typeof hex !== "string" || !(lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(hex)) return undefined;
  return { path, size: size as number, digest: { algorithm: lfs ? "sha256" : "git-sha1", hex } };
}

/** Whatever the library throws over an answer that is no hub's (a login page, a proxy's text) becomes one clear error. */
async function understood<T>(client: HubClient, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    client.signal?.throwIfAborted();
    if (error instanceof UffbError || error instanceof TryAgain) throw error;
    throw strange(client);
  }
}

function strange(client: HubClient): UffbError {
  return new UffbError(
    `${client.host} does not answer like a Hugging Face hub about ${client.repo.name}; check HF_ENDPOINT and the proxy`,
  );
}
