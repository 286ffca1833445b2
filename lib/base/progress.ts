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

/** `████░░░░`, `width` characters. */
export function bar(share: number, width: number): string {
  const filled = Math.floor(width * share);
  return "█".repeat(filled) + "░".repeat(width - filled);
}
