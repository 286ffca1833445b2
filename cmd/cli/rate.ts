import { writeSync } from "node:fs";
import { messages } from "./messages.ts";

const REDRAW_MS = 100;

/** Counts texts on their way, and says on stderr how fast they go. */
export class Rate {
  #count = 0;
  #drawn = 0;
  readonly #started = performance.now();

  /** `live`: keep a line up to date on a terminal. */
  constructor(readonly live: boolean) {}

  add(count: number): void {
    this.#count += count;
    const now = performance.now();
    if (!this.live || now - this.#drawn < REDRAW_MS) return;
    this.#drawn = now;
    writeSync(2, `\r\u001b[K${this.#text(now)}`);
  }

  /** Takes the line away, and leaves what it was in all, if that says something. */
  finish(): void {
    this.clear();
    if (this.#count > 1) messages.info(this.#text(performance.now()));
  }

  clear(): void {
    if (this.#drawn > 0) writeSync(2, "\r\u001b[K");
    this.#drawn = 0;
  }

  #text(now: number): string {
    const perSecond = this.#count / Math.max((now - this.#started) / 1000, 1e-3);
    return `${this.#count} texts, ${perSecond >= 10 ? Math.round(perSecond) : perSecond.toFixed(1)} texts/s`;
  }
}
