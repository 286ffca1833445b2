/** Tokens cut into sequences of one length, some held out, the others in the order in which a run reads them. */
import { UffbError } from "../../base/errors.ts";
import { count } from "../../base/numbers.ts";
import { Random } from "../../base/random.ts";

/**
 * How training sequences follow each other. "prevalence": those with most tokens `.` first, the same in every pass, as in cramming, where it
 * stands for plain prose before lists; "shuffle": at random, another way in each pass.
 */
export const ORDERS = ["prevalence", "shuffle"] as const;
export type Order = (typeof ORDERS)[number];

export interface SequencesOptions {
  /** Tokens of a sequence. */
  length: number;
  /** Share of the sequences, the last ones, that is held out for scoring. */
  heldOut: number;
  /** Most sequences held out: a large corpus needs no larger share than tells models apart. */
  mostHeldOut: number;
  order: Order;
  /** The token that `prevalence` counts; absent where the vocabulary has none. */
  counted: number | undefined;
  seed: number;
}

export class Sequences {
  readonly length: number;
  /** For training, and held out. */
  readonly count: number;
  readonly heldOut: number;
  readonly #ids: Uint16Array | Uint32Array;
  readonly #options: SequencesOptions;
  #order: { pass: number; numbers: Uint32Array } | undefined;

  /**
   * Cuts tokens into sequences; those left over at the end are dropped. Documents run on from one sequence into the next.
   * @throws UffbError when there are too few
   */
  constructor(ids: Uint16Array | Uint32Array, options: SequencesOptions) {
    this.#ids = ids;
    this.#options = options;
    this.length = options.length;
    const all = Math.floor(ids.length / options.length);
    this.heldOut = Math.min(Math.ceil(all * options.heldOut), options.mostHeldOut);
    this.count = all - this.heldOut;
    if (this.count < 1)
      throw new UffbError(
        `the corpus has ${count(ids.length)} tokens, too few for sequences of ${options.length} and some held out; give more text, or a smaller --length`,
      );
  }

  /** Sequence `index` of those that a run reads, the passes one after the other: [length], a view. */
  at(index: number): Uint16Array | Uint32Array {
    const pass = Math.floor(index / this.count);
    return this.#cut(this.#numbers(pass)[index % this.count]!);
  }

  /** One of those held out: [length], a view. */
  held(index: number): Uint16Array | Uint32Array {
    return this.#cut(this.count + index);
  }

  #cut(number: number): Uint16Array | Uint32Array {
    return this.#ids.subarray(number * this.length, (number + 1) * this.length);
  }

  #numbers(pass: number): Uint32Array {
    const { order, seed } = this.#options;
    const wanted = order === "shuffle" ? pass : 0;
    if (this.#order?.pass !== wanted) {
      const numbers =
        order === "shuffle"
          ? new Random(seed, "shuffle", pass).permutation(this.count)
          : this.#byPrevalence();
      this.#order = { pass: wanted, numbers };
    }
    return this.#order.numbers;
  }

  /** Most of the counted token first; the corpus's order where sequences have as many. */
  #byPrevalence(): Uint32Array {
    const { counted } = this.#options;
    const found = new Uint32Array(this.count);
    for (let number = 0; number < this.count; number++)
      for (const id of this.#cut(number)) if (id === counted) found[number]!++;
    // A sort by counting: places of the sequences with `length` of them first.
    const places = new Uint32Array(this.length + 2);
    for (const times of found) places[this.length - times + 1]!++;
    for (let i = 1; i < places.length; i++) places[i]! += places[i - 1]!;
    const numbers = new Uint32Array(this.count);
    for (const [number, times] of found.entries()) numbers[places[this.length - times]!++] = number;
    return numbers;
  }
}
