import { printable } from "./printable.ts";

const REDRAW_MS = 100;

/** A line at the end of a terminal that is drawn over and over, ten times a second at most. Where nobody watches, nothing is drawn. */
export class StatusLine {
  #drawn = false;
  #drawnAt = Number.NEGATIVE_INFINITY;

  /** `columns` of the terminal; undefined where there is none. */
  constructor(
    readonly write: (text: string) => void,
    readonly columns: number | undefined,
  ) {}

  /** `text` is asked for only if it is time to draw. */
  show(text: (now: number) => string): void {
    if (this.columns === undefined) return;
    const now = performance.now();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawn = true;
    this.#drawnAt = now;
    this.write(`\r\x1b[K${[...printable(text(now))].slice(0, this.columns - 1).join("")}`);
  }

  /** Takes the line away; what is written next starts on a clean one. */
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
