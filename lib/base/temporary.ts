/**
 * Files and folders that are there for a while, beside the ones they will become. They go when the process ends; what a process left that
 * was killed on the spot, the next one in the same folder removes.
 */
import { readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isAbandoned, ownName } from "./owner.ts";

const NAME = /^\..*\.[0-9a-f]{8}-\d+-[0-9a-f]{8}\.tmp$/;
/** How long another machine's process may be silent. */
const DAY_MS = 86_400_000;

/** Told of each path that has to go with the process, and of each that need not any more. */
type Watcher = (path: string, remove: boolean) => void;

const pending = new Set<string>();
const watchers: Watcher[] = [];

/** Names somebody who wants to know: who can remove files even where the process is ended in the middle of something, say. */
export function watchTemporaries(tell: Watcher): void {
  watchers.push(tell);
  for (const path of pending) tell(path, true);
}

function tellAll(path: string, remove: boolean): void {
  for (const tell of watchers) tell(path, remove);
}

function clear(): void {
  for (const path of pending) rmSync(path, { recursive: true, force: true });
}

/** A path beside `path` that nobody else uses, as long as it is in use; nothing is there yet. What is there at the end is removed. */
export class Temporary implements Disposable {
  readonly path: string;

  constructor(path: string) {
    sweep(dirname(path));
    this.path = join(dirname(path), `.${basename(path).slice(0, 200)}.${ownName()}.tmp`);
    if (pending.size === 0) process.once("exit", clear);
    pending.add(this.path);
    tellAll(this.path, true);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
    pending.delete(this.path);
    tellAll(this.path, false);
    if (pending.size === 0) process.off("exit", clear);
  }
}

/** Removes what dead processes left in a folder. */
function sweep(folder: string): void {
  try {
    for (const name of readdirSync(folder)) {
      if (!NAME.test(name)) continue;
      const path = join(folder, name);
      const { mtimeMs } = statSync(path);
      if (isAbandoned(name.slice(0, -".tmp".length), mtimeMs, DAY_MS))
        rmSync(path, { recursive: true, force: true });
    }
  } catch {
    // Another process sweeps, too, or the folder cannot be read; nothing depends on it.
  }
}
