import { fstatSync, writeSync } from "node:fs";
import { printableLines } from "../../lib/base/printable.ts";
import { StatusLine, WorkLine } from "../../lib/base/progress.ts";
import { withReason } from "../../lib/base/system.ts";

/** The reader of stdout has closed it (`| head`). That is not an error; there is nothing left to do. */
export class BrokenPipe extends Error {
  override name = "BrokenPipe";
}

/**
 * Writes all of `data` to stdout before it returns: a slow reader slows the writer down, so that memory stays constant however
 * long the stream is. Collect small pieces before calling it. On a terminal, what could steer it is escaped.
 *
 * @throws BrokenPipe
 */
export function print(data: string | Uint8Array): void {
  const bytes = typeof data === "string" ? Buffer.from(isWatched() ? printableLines(data) : data) : data;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at, bytes.length - at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") throw new BrokenPipe("stdout is closed");
      if (code !== "EAGAIN") throw withReason("standard output cannot be written to", error);
      Bun.sleepSync(2); // another process made the pipe non-blocking, and it is full
    }
  }
}

let watched: boolean | undefined;

function isWatched(): boolean {
  watched ??= isTerminal(1);
  return watched;
}

/** Whether `descriptor` (0 stdin, 1 stdout, 2 stderr) is a terminal. */
export function isTerminal(descriptor: 0 | 1 | 2): boolean {
  // node:tty takes milliseconds to load; pipes and files are recognised without it.
  return isDevice(descriptor) && (require("node:tty") as typeof import("node:tty")).isatty(descriptor);
}

function isDevice(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice();
  } catch {
    return false; // closed
  }
}

const { NO_COLOR, CI, TERM } = process.env;

export const COLORS = ["auto", "always", "never"] as const;

/** What flags say of how the program looks. */
const appearance: { quiet: boolean; color: (typeof COLORS)[number] } = { quiet: false, color: "auto" };

export function setAppearance(given: { quiet: boolean; color: (typeof COLORS)[number] | undefined }): void {
  appearance.quiet = given.quiet;
  appearance.color = given.color ?? "auto";
}

/** Whether only errors are to be said. */
export function isQuiet(): boolean {
  return appearance.quiet;
}

/** Whether to show progress: only on a terminal. */
function showsProgress(): boolean {
  return !appearance.quiet && isTerminal(2) && !CI && TERM !== "dumb";
}

/** Writes to stderr what is not a message. */
export function toStderr(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // stderr is closed; the exit code still tells.
  }
}

/** Columns of the terminal to show progress on; undefined without one. */
export function progressColumns(): number | undefined {
  return showsProgress() ? process.stderr.columns || 80 : undefined;
}

/** A line of progress on stderr. */
export function statusLine(): StatusLine {
  return new StatusLine(toStderr, progressColumns());
}

/** A line of progress on stderr for work that is counted. */
export function workLine(): WorkLine {
  return new WorkLine(statusLine());
}

/** Whether to write colours to `descriptor`. */
export function hasColor(descriptor: 1 | 2): boolean {
  if (appearance.color !== "auto") return appearance.color === "always";
  return isTerminal(descriptor) && !NO_COLOR && !CI && TERM !== "dumb";
}

/** The text, without its colours and bold where stdout is not to have them. */
export function styled(text: string): string {
  return hasColor(1) ? text : Bun.stripANSI(text);
}

/** Columns that lines on stdout may take: COLUMNS, or those of the terminal; undefined in a pipe or file, where lines may be of any length. */
export function outputColumns(): number | undefined {
  const named = Number(process.env.COLUMNS);
  if (Number.isInteger(named) && named > 0) return named;
  return isTerminal(1) ? process.stdout.columns || 80 : undefined;
}

/** Longer lines of prose are hard to read. */
const WIDEST_TEXT = 100;

/** Columns to wrap prose at, anywhere. */
export function textColumns(): number {
  return Math.min(WIDEST_TEXT, outputColumns() ?? 80);
}
