import { fail } from "../../../base/json.ts";

/**
 * A regular expression as a tree. `Chars` matches one code point; its source is a class, an escape or a character as JavaScript spells it
 * with the flag "u".
 */
export type Node = Chars | Choice | Look | Repeat;
export interface Chars {
  kind: "chars";
  source: string;
}
/** Alternatives, the first that fits wins; each a sequence. */
export interface Choice {
  kind: "choice";
  branches: Node[][];
}
/** (?=…), (?!…), (?<=…) or (?<!…). */
export interface Look {
  kind: "look";
  behind: boolean;
  negative: boolean;
  body: Choice;
}
export interface Repeat {
  kind: "repeat";
  body: Chars | Choice | Look;
  min: number;
  max: number;
  lazy: boolean;
}

/** Characters and classes in an expression; the longest in use has some 60. */
const MAX_CHARS = 100;
const MAX_DEPTH = 16;
/** Most times that `{n}` may ask for; the most in use is 3. */
const MAX_COUNT = 100;

const GROUP = /\((?:\?(?::|=|!|<=|<!|<[A-Za-z_]\w*>))?/y;
const QUANTIFIER = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})(\??)/y;
const ESCAPE = /\\(?:[pP]\{[^}]*\}|u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|c[A-Za-z]|.)/suy;
const CLASS = /\[(?:\\.|[^\]\\])*\]/suy;

const ANY = /./suy;

/**
 * Parses an expression that compiles with the flag "u".
 *
 * @throws UffbError starting with `where` for one that refers back to a group, or has more parts than any in use
 */
export function parseExpression(source: string, where: string): Choice {
  let at = 0;
  let chars = 0;

  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source) ?? undefined;
    if (found) at = pattern.lastIndex;
    return found;
  };

  const choice = (depth: number): Choice => {
    if (depth > MAX_DEPTH) fail(where, "is nested too deeply");
    const branches: Node[][] = [[]];
    while (at < source.length && source[at] !== ")") {
      if (source[at] === "|") {
        at++;
        branches.push([]);
      } else branches.at(-1)!.push(repeated(item(depth)));
    }
    return { kind: "choice", branches };
  };

  const item = (depth: number): Chars | Choice | Look => {
    const open = take(GROUP)?.[0];
    if (open === undefined) return one();
    if (open === "(" && source[at] === "?")
      fail(where, `has ${source.slice(at - 1, at + 3)}, which is not supported`);
    const body = choice(depth + 1);
    at++; // the ")"
    const [, behind, sign] = /^\(\?(<?)([=!])$/.exec(open) ?? [];
    return sign === undefined ? body : { kind: "look", behind: behind === "<", negative: sign === "!", body };
  };

  const one = (): Chars => {
    if (++chars > MAX_CHARS) fail(where, `has more than ${MAX_CHARS} characters and classes`);
    const source = (take(CLASS) ?? take(ESCAPE) ?? take(ANY)!)[0];
    if (/^\\[1-9kbB]/.test(source)) fail(where, `has ${source}, which is not supported`);
    return { kind: "chars", source };
  };

  const repeated = (body: Chars | Choice | Look): Node => {
    const found = take(QUANTIFIER);
    if (!found) return body;
    const [, sign, least, comma, most, lazy] = found;
    const min = sign ? (sign === "+" ? 1 : 0) : Number(least);
    const open = sign ? sign !== "?" : comma !== undefined && most === "";
    const max = open ? Number.POSITIVE_INFINITY : sign ? 1 : comma ? Number(most) : min;
    if (min > MAX_COUNT || (!open && max > MAX_COUNT))
      fail(where, `repeats something more than ${MAX_COUNT} times`);
    return { kind: "repeat", body, min, max, lazy: lazy === "?" };
  };

  return choice(0);
}

/** Most code points that a part can match. */
export function maxWidth(node: Node): number {
  switch (node.kind) {
    case "chars":
      return 1;
    case "look":
      return 0;
    case "choice":
      return node.branches.reduce((most, branch) => Math.max(most, widthOf(branch)), 0);
    case "repeat": {
      const width = maxWidth(node.body);
      return width === 0 ? 0 : width * node.max;
    }
  }
}

function widthOf(branch: readonly Node[]): number {
  return branch.reduce((sum, node) => sum + maxWidth(node), 0);
}
