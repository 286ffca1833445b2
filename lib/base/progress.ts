import { formatSeconds } from "./numbers.ts";
import { printable } from "./printable.ts";

const REDRAW_MS = 100;

/** A progress line at the bottom of a terminal, redrawn at most ten times a second. Without a terminal nothing is drawn. */
export class StatusLine {
  #drawn = false;
  #drawnAt = Number.NEGATIVE_INFINITY;

  /** `columns` of the terminal; undefined where there is none. */
  constructor(
    readonly write: (text: string) => void,
    readonly columns: number | undefined,
  ) {}

  /** Calls `text` only when it is time to redraw. */
  show(text: (now: number) => string): void {
    if (this.columns === undefined) return;
    const now = performance.now();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawn = true;
    this.#drawnAt = now;
    this.write(`\r\x1b[K${[...printable(text(now))].slice(0, this.columns - 1).join("")}`);
  }

  /** Erases the line; the next output starts at its beginning. */
  clear(): void {
    if (this.#drawn) this.write("\r\x1b[K");
    this.#drawn = false;
    this.#drawnAt = Number.NEGATIVE_INFINITY;
  }
}

/** Milliseconds after which what is left can be told. */
const EARLY_MS = 1000;

/**
 * How long work of which `share` is done will still take if it goes on as it went since `started`: "12 s left", or "" while that cannot be
 * told. Times are those of performance.now().
 */
export function timeLeft(started: number, now: number, share: number): string {
  if (now - started < EARLY_MS || !(share > 0)) return "";
  return `${formatSeconds(((now - started) / 1000 / share) * Math.max(0, 1 - share))} left`;
}

/** Shows on a line how far a piece of work is, and how long it will still take. */
export class WorkLine {
  #what = "";
  #started = 0;

  constructor(readonly line: StatusLine) {}

  /** `done` of `total`, whatever they count; another `what` is another piece of work. */
  show(what: string, done: number, total: number): void {
    if (what !== this.#what) {
      this.#what = what;
      this.#started = performance.now();
    }
    if (done >= total) {
      this.line.clear();
      return;
    }
    const share = done / total;
    this.line.show((now) =>
      [what, bar(share, 20), `${Math.floor(100 * share)}%`, timeLeft(this.#started, now, share)]
        .join("  ")
        .trimEnd(),
    );
  }

  clear(): void {
    this.line.clear();
  }
}

/** `████░░░░`, `width` characters. */
export function bar(share: number, width: number): string {
  const filled = Math.floor(width * share);
  return "█".repeat(filled) + "░".repeat(width - filled);
}
