/** The pages name files, instruction sets and scripts, which have to be there, and numbers, which data beside them have to come to. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { deviation, mean, median } from "../lib/base/statistics.ts";
import { findTasks, type MetricName } from "../lib/data/tasks.ts";
import { METRICS } from "../lib/eval/metrics.ts";
import { scripts, version } from "../package.json";

const root = join(import.meta.dir, "..");
const text = (path: string) => readFileSync(join(root, path), "utf8");
const PAGES = ["README.md", "CONTRIBUTING.md"];
const OTHERS = [
  "SECURITY.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs")).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
];

/** A path of this repository: it begins with one of its folders, and has no capital letters that stand for a name to choose. */
const PATH = /(?<![\w./-])(?:cmd|ffi|lib|kernels|testing|fixtures|\.ci)\/[\w./-]*[\w/](?![\w./*-])/g;

test.each(PAGES)("every path in %s exists", (page) => {
  const paths = [...new Set(text(page).match(PATH))].filter(
    (path) => !/\b[A-Z]{2,}\b/.test(path) || /\.md$/.test(path),
  );
  expect(paths.length).toBeGreaterThan(10);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test.each([...PAGES, ...OTHERS])("every file that %s links to exists", (page) => {
  const links = Array.from(text(page).matchAll(/\]\(([^)#:]+)\)/g), ([, path]) =>
    join(root, dirname(page), path!),
  );
  expect(links.filter((path) => !existsSync(path))).toEqual([]);
});

test("the changelog and the citation have this version", () => {
  expect(text("CHANGELOG.md")).toContain(`\n## ${version}\n`);
  expect(text("CITATION.cff")).toContain(`\nversion: ${version}\n`);
});

test("the table of docs/scores.md is what docs/scores.csv comes to", () => {
  const [, ...lines] = text("docs/scores.csv").trim().split("\n");
  const rows = Map.groupBy(
    lines.map((line) => line.split(",")),
    ([model, task, flags]) => [model, task, flags].join(),
  );
  const found = [...rows.values()].map((scores) => {
    const [model, task, flags, metric] = scores[0]!;
    const recipe = flags ? ` \`${flags}\`` : "";
    const sides = ["uffb", "PyTorch"].map((side) =>
      scores.filter(([, , , , engine]) => engine === side).map((score) => 100 * Number(score.at(-1))),
    ) as [number[], number[]];
    const middle = sides.map((all) => {
      const [least, most] = [Math.min(...all), Math.max(...all)].map((score) => score.toFixed(1));
      return `${median(all).toFixed(1)} (${least} to ${most})`;
    });
    const difference = mean(sides[0]) - mean(sides[1]);
    const signed = `${difference < 0 ? "" : "+"}${difference.toFixed(1)}`;
    const deviations = sides.map((all) => deviation(all).toFixed(1)).join(", ");
    const { title } = findTasks([task!])[0]!;
    const name = METRICS[metric as MetricName].title;
    return `| ${[model, title + recipe, name, ...middle, signed, deviations].join(" | ")} |`;
  });
  const shown = Array.from(
    text("docs/scores.md").matchAll(/^\| (?:all-MiniLM-L6-v2|built-in) \|.*/gm),
    ([row]) => row,
  );
  expect(shown).toEqual(found);
});

test.each(PAGES)("every npm script in %s exists", (page) => {
  const names = Array.from(
    text(page).matchAll(/\bnpm (?:run )?(test|[a-z:]+(?=`|\s{2}))/g),
    ([, name]) => name!,
  );
  expect(names.filter((name) => !Object.hasOwn(scripts, name) && name !== "ci")).toEqual([]);
});

test("the README names every instruction set", () => {
  const sets = Array.from(text("kernels/ops/isas.inc").matchAll(/^UFFB_ISA\((\w+),/gm), ([, name]) => name!);
  expect(sets.length).toBeGreaterThan(3);
  const [sentence] = text("README.md").match(/`UFFB_ISA` chooses one:[^.]*\./)!;
  const named = Array.from(sentence.matchAll(/`(\w+)`/g), ([, name]) => name!).filter(
    (name) => name !== "UFFB_ISA",
  );
  expect(named.sort()).toEqual(sets.sort());
});
