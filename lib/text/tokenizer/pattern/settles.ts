import { type Choice, maxWidth, type Node } from "./expression.ts";

/** Most tests of a character at one place of the text. */
const MAX_TESTS = 256;

const SPACES = "\\p{White_Space}";
/** GPT-2's pattern for white space before a word: all of it but the last space, which goes to the word. */
const GPT2_END = `|${SPACES}+(?!\\P{White_Space})|${SPACES}+`;
/** The same in its successors, which look for line ends first. White space that fails to match here is matched by the rest of the expression. */
const ENDS = [`|${SPACES}*[\\r\\n]+${GPT2_END}`, GPT2_END];

/**
 * Whether a matcher that goes back and tries again is done with this expression in time linear in the text: at each place, every alternative
 * fails after a fixed number of tests or takes what it has tested. So it is when nothing of an alternative can fail any more once it has
 * begun to repeat something without end: `a?b{1,3}[cd]+e*`, but not `a*b`.
 */
export function settlesAtOnce(expression: Choice, source: string): boolean {
  const end = ENDS.find((end) => source.endsWith(end)) ?? "";
  const known = end === "" ? 0 : end.split("|").length - 1;
  const { branches } = expression;
  return testsOf(branches.slice(0, branches.length - known)) <= MAX_TESTS;
}

/** Tests at one place before all alternatives have failed; Infinity where that depends on the text. */
function testsOf(branches: readonly Node[][]): number {
  return branches.reduce((sum, branch) => sum + testsOfBranch(branch), 0);
}

function testsOfBranch(branch: readonly Node[]): number {
  const open = branch.findIndex((node) => node.kind === "repeat" && node.max === Number.POSITIVE_INFINITY);
  const fixed = open < 0 ? branch : branch.slice(0, open);
  const rest = open < 0 ? [] : branch.slice(open + 1);
  const runs = open < 0 ? [] : branch.slice(open);
  const ofChars = runs.every((node) => node.kind === "repeat" && node.body.kind === "chars" && !node.lazy);
  const cannotFail = rest.every((node) => node.kind === "repeat" && node.min === 0);
  if (!ofChars || !cannotFail) return Number.POSITIVE_INFINITY;
  // Each part that may come in several numbers is tried again with each of them.
  let ways = 1;
  let tests = 1;
  for (const node of fixed) {
    const [body, max, choices] =
      node.kind === "repeat" ? [node.body, node.max, node.max - node.min + 1] : [node, 1, 1];
    // What follows could fail, and so an end of what is inside could be tried after another.
    if (maxWidth(body) === Number.POSITIVE_INFINITY || body.kind === "look") return Number.POSITIVE_INFINITY;
    tests += ways * max * (body.kind === "chars" ? 1 : testsOf(body.branches));
    ways *= choices * (body.kind === "chars" ? 1 : body.branches.length ** max);
  }
  return tests + ways * runs.reduce((sum, node) => sum + (node.kind === "repeat" ? node.min : 0), 0);
}
