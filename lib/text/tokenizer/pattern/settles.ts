import { allowance } from "./bounded.ts";
import { type Choice, maxWidth, type Node } from "./expression.ts";

/** Steps that GPT-2's end and its like take at a place; they are known, and not counted. */
const STEPS_OF_END = 8;

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
  const { steps } = workOf(branches.slice(0, branches.length - known), true);
  return steps <= allowance(expression) - (known > 0 ? STEPS_OF_END : 0);
}

/** What `BoundedMatcher` does at most at one place of the text before it has failed there. */
interface Work {
  /** Infinity where that depends on the text. */
  steps: number;
  /** In how many ways it comes to its end, each of which what follows is tried after. */
  ways: number;
}

/** Of alternatives; `last`: nothing follows them. */
function workOf(branches: readonly Node[][], last: boolean): Work {
  const works = branches.map((branch) => workOfBranch(branch, last));
  return {
    steps: works.reduce((sum, { steps }) => sum + steps, 0),
    ways: works.reduce((sum, { ways }) => sum + ways, 0),
  };
}

function workOfBranch(branch: readonly Node[], last: boolean): Work {
  const open = branch.findIndex((node) => node.kind === "repeat" && node.max === Number.POSITIVE_INFINITY);
  let steps = 0;
  let ways = 1;
  for (const node of open < 0 ? branch : branch.slice(0, open)) {
    const work = workOfNode(node);
    steps += ways * work.steps;
    ways *= work.ways;
  }
  return { steps: open < 0 ? steps : steps + ways * stepsOfRuns(branch.slice(open), last), ways };
}

/** Of what begins with a repetition without end: nothing of it may fail any more once that has begun. */
function stepsOfRuns(runs: readonly Node[], last: boolean): number {
  let steps = 0;
  for (const [i, node] of runs.entries()) {
    const settled =
      node.kind === "repeat" && node.body.kind === "chars" && !node.lazy && (i === 0 || node.min === 0);
    if (!last || !settled) return Number.POSITIVE_INFINITY;
    steps += node.min + 2; // the tests of the least number, one that fails, and the end
  }
  return steps;
}

/** Of a node whose length has a limit. */
function workOfNode(node: Node): Work {
  if (node.kind === "chars") return { steps: 1, ways: 1 };
  if (node.kind === "choice") return workOf(node.branches, false);
  // Its inside could depend on the text as far as it looks.
  if (node.kind === "look" || maxWidth(node) === Number.POSITIVE_INFINITY)
    return { steps: Number.POSITIVE_INFINITY, ways: 1 };
  const { body, min, max, lazy } = node;
  const inner = workOfNode(body);
  if (body.kind === "chars" && !lazy) return { steps: 2 * max - min + 1, ways: max - min + 1 };
  let steps = 1;
  let ways = min === 0 ? 1 : 0;
  for (let count = 0, before = 1; count < max; count++) {
    steps += before * inner.steps;
    before *= inner.ways;
    steps += before;
    if (count + 1 >= min) ways += before;
  }
  return { steps, ways };
}
