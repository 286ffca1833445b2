import { UffbError } from "../../../base/errors.ts";
import { type Choice, maxWidth, type Node } from "./expression.ts";
import { type Pattern, replaceFound, type Span } from "./matcher.ts";

/** Matches from a place of the text and then whatever `next` does; gives the end of all that, or -1. */
type Matcher = (at: number, next: Next) => number;
type Next = (at: number) => number;

/** Tests of characters that are allowed for each unit of a text, on top of some; the expressions in use have at most 60 alternatives. */
const MAX_TESTS = 100;

/** Steps that an expression may take for each UTF-16 unit of a text. */
export function allowance(expression: Choice): number {
  return 32 + Math.min(MAX_TESTS, countChars(expression));
}

/** Repetitions of a group: each takes some of the stack. */
const MAX_NESTING = 1000;

/**
 * Tries alternatives one after another, as JavaScript's matcher does and with the same results, but counts its steps: in proportion to the
 * text, several times what expressions in use need.
 */
export class BoundedMatcher implements Pattern {
  readonly #match: Matcher;
  readonly #where: string;
  /** Steps allowed for each UTF-16 unit of a text. */
  readonly #allowance: number;
  #text = "";
  #steps = 0;
  #nesting = 0;

  constructor(expression: Choice, where: string) {
    this.#where = where;
    this.#allowance = allowance(expression);
    this.#match = this.#choice(expression);
  }

  *find(text: string): Generator<Span> {
    const enough = this.#allowance * (text.length + 1);
    let steps = enough;
    for (let start = 0; start <= text.length; ) {
      // Another text's matches may be asked for between two of this one's.
      this.#text = text;
      this.#steps = steps;
      this.#nesting = 0;
      const end = this.#match(start, (at) => at);
      steps = this.#steps;
      if (end >= 0) yield [start, end];
      start = end > start ? end : start + width(text, start);
    }
  }

  replace(text: string, content: string, most: number): string | undefined {
    return replaceFound(this, text, content, most);
  }

  #step(): void {
    if (--this.#steps < 0) this.#giveUp();
  }

  #giveUp(): never {
    throw new UffbError(
      `${this.#where} takes far more work on this text than a tokenizer's expression should; is it damaged?`,
    );
  }

  #choice({ branches }: Choice): Matcher {
    const matchers = branches.map((branch) => this.#sequence(branch));
    if (matchers.length === 1) return matchers[0]!;
    return (at, next) => {
      for (const match of matchers) {
        const end = match(at, next);
        if (end >= 0) return end;
      }
      return -1;
    };
  }

  #sequence(nodes: readonly Node[]): Matcher {
    if (nodes.length === 0) return (at, next) => next(at);
    const [first, ...others] = nodes.map((node) => this.#node(node)) as [Matcher, ...Matcher[]];
    return others.reduce((before, match) => (at, next) => before(at, (then) => match(then, next)), first);
  }

  #node(node: Node): Matcher {
    switch (node.kind) {
      case "choice":
        return this.#choice(node);
      case "chars": {
        const take = this.#chars(node.source);
        return (at, next) => {
          const end = take(at);
          return end < 0 ? -1 : next(end);
        };
      }
      case "look": {
        const { behind, negative, body } = node;
        const match = this.#choice(body);
        const units = 2 * maxWidth(body);
        return (at, next) => {
          const found = behind ? this.#endsAt(match, at, units) : match(at, (end) => end) >= 0;
          return found === negative ? -1 : next(at);
        };
      }
      case "repeat": {
        const { body, min, max, lazy } = node;
        return body.kind === "chars" && !lazy
          ? this.#run(this.#chars(body.source), min, max)
          : this.#repeat(this.#node(body), min, max, lazy);
      }
    }
  }

  /** Gives the end of the code point at a place if it is one of these, or -1. */
  #chars(source: string): Next {
    const regex = new RegExp(source, "uy");
    const ascii = Array.from({ length: 128 }, (_, code) => {
      regex.lastIndex = 0;
      return regex.test(String.fromCharCode(code));
    });
    return (at) => {
      this.#step();
      const text = this.#text;
      if (at >= text.length) return -1;
      const code = text.charCodeAt(at);
      if (code < 128) return ascii[code] ? at + 1 : -1;
      regex.lastIndex = at;
      return regex.test(text) ? regex.lastIndex : -1;
    };
  }

  /** As many characters as there are, then one fewer at a time. */
  #run(take: Next, min: number, max: number): Matcher {
    return (at, next) => {
      let count = 0;
      let end = at;
      for (; count < max; count++) {
        const then = take(end);
        if (then < 0) break;
        end = then;
      }
      for (; count >= min; count--) {
        this.#step();
        const found = next(end);
        if (found >= 0) return found;
        if (count > 0) end -= end - at >= 2 && width(this.#text, end - 2) === 2 ? 2 : 1;
      }
      return -1;
    };
  }

  #repeat(match: Matcher, min: number, max: number, lazy: boolean): Matcher {
    const from = (at: number, count: number, next: Next): number => {
      this.#step();
      if (++this.#nesting > MAX_NESTING) this.#giveUp();
      const more = () =>
        count === max
          ? -1
          : match(at, (then) => (then === at && count >= min ? -1 : from(then, count + 1, next)));
      const enough = () => (count < min ? -1 : next(at));
      let end = lazy ? enough() : more();
      if (end < 0) end = lazy ? more() : enough();
      this.#nesting--;
      return end;
    };
    return (at, next) => from(at, 0, next);
  }

  /** Whether some match of at most so many UTF-16 units ends here: from the nearest place on, which is where it nearly always begins. */
  #endsAt(match: Matcher, at: number, units: number): boolean {
    for (let start = at; start >= Math.max(0, at - units); start--) {
      this.#step();
      if (start > 0 && width(this.#text, start - 1) === 2) continue; // between the halves of a code point
      if (match(start, (end) => (end === at ? end : -1)) >= 0) return true;
    }
    return false;
  }
}

function width(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

function countChars(node: Node): number {
  switch (node.kind) {
    case "chars":
      return 1;
    case "choice":
      return node.branches.flat().reduce((sum, inner) => sum + countChars(inner), 0);
    case "look":
      return countChars(node.body);
    case "repeat":
      return countChars(node.body) * (Number.isFinite(node.max) ? Math.max(1, node.max) : 1);
  }
}
