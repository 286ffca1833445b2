import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { UffbError } from "../base/errors.ts";
import { tryJson } from "../base/json.ts";
import { readRegular } from "../base/read.ts";
import { withReason } from "../base/system.ts";
import type { LogRecord } from "./records.ts";

/** Records written together: a line a step would be a write a step. */
const PENDING = 64;
/** Largest log that a run goes on with. */
const MAX_BYTES = 2 ** 31 - 1;

/** A run's records, in memory and, where it has a place, as JSON lines in a file. */
export class RunLog implements Disposable {
  readonly records: LogRecord[] = [];
  #file: number | undefined;
  #bytes = 0;
  #pending: string[] = [];
  readonly #path: string | undefined;

  /** `path`: where lines go; `bytes`: how many of those that are there are of this run, the rest being steps that are done again. */
  constructor(path?: string, bytes = 0) {
    this.#path = path;
    if (path === undefined) return;
    if (bytes > 0) this.#read(path, bytes);
    this.#file = openSync(path, bytes > 0 ? "r+" : "w");
    ftruncateSync(this.#file, bytes);
    this.#bytes = bytes;
  }

  add(record: LogRecord): void {
    this.records.push(record);
    if (this.#file === undefined) return;
    this.#pending.push(`${JSON.stringify(record)}\n`);
    if (this.#pending.length >= PENDING) this.#write();
  }

  /** Puts every line on the disk. Returns the bytes of the file. @throws UffbError when the system refuses */
  flush(): number {
    if (this.#file === undefined) return 0;
    this.#write();
    fsyncSync(this.#file);
    return this.#bytes;
  }

  [Symbol.dispose](): void {
    if (this.#file === undefined) return;
    try {
      this.#write();
    } catch {
      // Whatever ends the run says why; if that is a full disk, these lines find no room either.
    } finally {
      closeSync(this.#file);
      this.#file = undefined;
    }
  }

  #write(): void {
    const data = Buffer.from(this.#pending.join(""));
    try {
      for (let at = 0; at < data.length; )
        at += writeSync(this.#file!, data, at, data.length - at, this.#bytes + at);
    } catch (error) {
      ftruncateSync(this.#file!, this.#bytes); // no half of a line
      throw withReason(`${this.#path}: cannot be written`, error);
    }
    this.#bytes += data.length;
    this.#pending = [];
  }

  #read(path: string, bytes: number): void {
    try {
      const stored = readRegular(path, { most: MAX_BYTES });
      if (stored.length < bytes) throw new Error("it is too short");
      const text = new TextDecoder("utf-8", { fatal: true }).decode(stored.subarray(0, bytes));
      for (const line of text.split("\n")) {
        if (line === "") continue;
        const read = tryJson(line);
        if ("error" in read) throw new Error(`a line of it is ${read.error}`);
        this.records.push(read.value as LogRecord);
      }
    } catch (error) {
      throw new UffbError(
        `${path}: is not the log that the checkpoint beside it belongs to (${(error as Error).message}); remove the folder and start again`,
      );
    }
  }
}
