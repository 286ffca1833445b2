/** What the rate shown is a mean of. */
const WINDOW_MS = 5000;

/** Counts a run's tokens and time. */
export class Clock {
  readonly #start = performance.now();
  #marks: { at: number; tokens: number }[] = [{ at: this.#start, tokens: 0 }];
  #tokens = 0;

  /**
   * @param earlier seconds that the run took before
   * @param shareBefore of the run that was done by then
   */
  constructor(
    readonly earlier: number,
    readonly shareBefore: number,
  ) {}

  /** Counts a step of so many tokens, which ends now. */
  add(tokens: number): void {
    const now = performance.now();
    this.#tokens += tokens;
    this.#marks.push({ at: now, tokens: this.#tokens });
    while (this.#marks.length > 2 && now - this.#marks[0]!.at > WINDOW_MS) this.#marks.shift();
  }

  /** Of the whole run so far. */
  seconds(): number {
    return this.earlier + (performance.now() - this.#start) / 1000;
  }

  /** Tokens a second lately, and the time left when so much of the run is done. */
  rates(share: number): { tokensPerSecond: number; secondsLeft: number } {
    const [first, last] = [this.#marks[0]!, this.#marks.at(-1)!];
    return {
      tokensPerSecond: ((last.tokens - first.tokens) * 1000) / (last.at - first.at),
      // Of all that was done since the start: scoring takes time, too.
      secondsLeft:
        ((1 - share) * (performance.now() - this.#start)) / 1000 / Math.max(share - this.shareBefore, 1e-9),
    };
  }
}
