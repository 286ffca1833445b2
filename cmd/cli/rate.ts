import { plural } from "../../lib/base/numbers.ts";
import { bar, type StatusLine, timeLeft } from "../../lib/base/progress.ts";
import { messages } from "./messages.ts";

/** Counts texts on their way, and says how fast they go. */
export class Rate {
  #count = 0;
  readonly #started = performance.now();

  /** `line` is kept up to date, if given; `share` of the work that is done, where it is known. */
  constructor(
    readonly line: StatusLine | undefined,
    readonly share: () => number | undefined = () => undefined,
  ) {}

  add(count: number): void {
    this.#count += count;
    this.line?.show((now) => `${this.#progress(now)}${this.#text(now)}`);
  }

  /** Takes the line away, and leaves what it was in all, if that says something. */
  finish(): void {
    this.clear();
    if (this.#count > 1) messages.info(this.#text(performance.now()));
  }

  clear(): void {
    this.line?.clear();
  }

  #progress(now: number): string {
    const share = this.share();
    if (share === undefined) return "";
    const left = timeLeft(this.#started, now, share);
    return `${bar(Math.min(1, share), 20)}  ${left && `${left}  `}`;
  }

  #text(now: number): string {
    const perSecond = this.#count / Math.max((now - this.#started) / 1000, 1e-3);
    return `${plural(this.#count, "text")}, ${perSecond >= 10 ? Math.round(perSecond) : perSecond.toFixed(1)} texts/s`;
  }
}
