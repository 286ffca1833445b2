import { UffbError, UsageError } from "../base/errors.ts";

export type RepoType = "model" | "dataset";

export interface Repo {
  type: RepoType;
  /** `org/name`, or `name` for the few repositories without an owner. */
  name: string;
}

/** A full commit id, as `snapshots/` and `refs/` hold it. */
export const COMMIT = /^[0-9a-f]{40}$/;

const REPO_PART = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/;

/**
 * Checks a repository's name by the hub's own rules; it becomes part of URLs and of a folder's name.
 * @throws UsageError
 */
export function parseRepo(name: string, type: RepoType = "model"): Repo {
  const parts = name.split("/");
  const fits =
    parts.length <= 2 &&
    name.length <= 96 &&
    parts.every((part) => REPO_PART.test(part) && !/--|\.\./.test(part));
  if (!fits)
    throw new UsageError(`${JSON.stringify(name)} is not a repository's name; write ORGANISATION/NAME`);
  return { type, name };
}

/**
 * Checks a branch, tag, `refs/pr/N` or commit; it becomes a path below `refs/`.
 * @throws UsageError
 */
export function checkRevision(revision: string): string {
  const fits = /^[A-Za-z0-9][\w.+/-]{0,254}$/.test(revision) && !/\.\.|\/\/|\/$|\/\.|\.lock$/.test(revision);
  if (!fits)
    throw new UsageError(`${JSON.stringify(revision)} is not a revision; name a branch, a tag or a commit`);
  return revision;
}

/**
 * Refuses names that would leave the folder that files are written to, under the rules of POSIX or of Windows, and
 * names that would garble a terminal. They come from the server, so from strangers.
 * @throws UffbError
 */
export function checkFileName(name: string): string {
  const parts = name.split("/");
  const trick =
    name.length > 1024 ||
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\\]/.test(name) ||
    parts.some((part) => part === "" || part === "." || part === ".." || /^[A-Za-z]:/.test(part)) ||
    parts.some((part) => part.toLowerCase() === ".git" || Buffer.byteLength(part) > 255);
  if (trick) {
    throw new UffbError(
      `the server lists a file named ${JSON.stringify(name.slice(0, 120))}, which is not safe to write; nothing was downloaded`,
    );
  }
  return name;
}
